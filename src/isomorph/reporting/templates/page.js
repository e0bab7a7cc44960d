"use strict";
document.documentElement.classList.add("js");
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  // A link to what is folded opens it; paper takes every answer; a small screen begins without the contents.
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    const fold = target.querySelector(":scope > details.fold");
    if (fold) fold.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  for (const link of document.querySelectorAll('a[href^="#"]'))
    link.addEventListener("click", () => { if (link.hash === location.hash) open(); });
  open();
  const shut = [];
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details.fold:not([open])")) { fold.open = true; shut.push(fold); }
  });
  addEventListener("afterprint", () => { for (const fold of shut.splice(0)) fold.open = false; });
  if (matchMedia("(max-width: 1179px)").matches) document.querySelector("nav details").open = false;

  // Heat maps: one cell of each can be reached by Tab, arrow keys move; pointing and focus tell what a cell holds.
  for (const layout of document.querySelectorAll(".layout")) {
    const map = layout.querySelector(".map");
    const grid = map.querySelector(".cells");
    const rows = [...grid.children].map((row) => [...row.children]);
    const readout = layout.querySelector(".readout");
    const marks = ["cursor-halo", "cursor"].map((name) => {
      const mark = document.createElementNS(SVG, "path");
      mark.setAttribute("class", name);
      mark.setAttribute("visibility", "hidden");
      map.querySelector("svg").append(mark);
      return mark;
    });
    const words = new Map();
    for (const cell of rows.flat()) {
      const title = cell.querySelector("title").textContent;
      words.set(cell, title);
      cell.setAttribute("aria-label", title);
      cell.querySelector("title").remove(); // the readout says it at once, the browser's own box would say it twice
    }
    const tell = (cell, ...more) => {
      const all = words.get(cell);
      const told = all.indexOf(", chance "); // a cell without a score has a name only
      const cut = told < 0 ? all.length : all.lastIndexOf(": ", told);
      const head = document.createElement("b");
      head.textContent = all.slice(0, cut);
      readout.replaceChildren(head, told < 0 ? "" : `${all.slice(cut + 2)}.`, ...more);
    };
    const show = (cell) => {
      for (const mark of marks) {
        mark.setAttribute("d", cell.getAttribute("d"));
        mark.setAttribute("visibility", "visible");
      }
      tell(cell);
    };
    let current = grid.querySelector('[tabindex="0"]');
    tell(current, " ", readout.querySelector(".hint")); // the best pair until another is asked for
    const moveTo = (cell) => {
      current.setAttribute("tabindex", "-1");
      cell.setAttribute("tabindex", "0");
      current = cell;
      cell.focus();
      show(cell); // a window without focus tells no focusin
    };
    grid.addEventListener("pointerover", (event) => {
      const cell = event.target.closest("[role=gridcell]");
      if (cell) show(cell);
    });
    grid.addEventListener("focusin", (event) => show(event.target.closest("[role=gridcell]")));
    grid.addEventListener("click", (event) => {
      const cell = event.target.closest("[role=gridcell]");
      if (cell) moveTo(cell);
    });
    grid.addEventListener("keydown", (event) => {
      const i = rows.findIndex((row) => row.includes(current));
      const j = rows[i].indexOf(current);
      const last = rows[i].length - 1;
      const step = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], // rows run upwards
        Home: [0, -j], End: [0, last - j], PageUp: [rows.length - 1 - i, 0], PageDown: [-i, 0] }[event.key];
      if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const cell = rows[i + step[0]]?.[j + step[1]];
      if (cell) moveTo(cell);
    });
  }

  // Downloads: CSV made from what the page holds.
  const quote = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    // spreadsheets run a cell that begins like a formula; a number is none
    if (/^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text))) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const save = (name, lines) => {
    const blob = new Blob([lines.map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const COLUMNS = ["values", "chance", "p_value", "p_family", "calibrated", "threshold", "low", "high"];
  const pairs = (alignments) => {
    const lines = [["metric", "x_layer", "y_layer", "n", "x_dim", "y_dim", "value", ...COLUMNS.slice(1), "permutations"]];
    for (const a of alignments)
      a.x_layers.forEach((x, i) => a.y_layers.forEach((y, j) =>
        lines.push([a.variant, x, y, a.n, a.x_dims[i], a.y_dims[j],
          ...COLUMNS.map((name) => (a[name] ? a[name][i][j] : null)), a.permutations])));
    return lines;
  };
  // Tables that sort: a click on a heading sorts by its column, another turns the order round; blanks stay last.
  for (const table of document.querySelectorAll("table.sorts")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending" ||
          (!head.hasAttribute("aria-sort") && head.hasAttribute("data-numeric"));
        const body = table.tBodies[0];
        const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
        const numeric = head.hasAttribute("data-numeric");
        const order = (a, b) => {
          const [x, y] = [key(a), key(b)];
          if (!numeric) return down ? y.localeCompare(x) : x.localeCompare(y);
          if (x === "" || y === "") return (x === "") - (y === "");
          return down ? y - x : x - y;
        };
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        body.append(...[...body.rows].sort(order));
      });
    });
  }

  // Tables that are searched: rows that hold every word stay.
  for (const field of document.querySelectorAll(".find input")) {
    const rows = [...field.closest(".find").nextElementSibling.querySelector("tbody").rows];
    const held = rows.map((row) => row.textContent.toLowerCase());
    const told = field.closest(".find").querySelector("[aria-live]");
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      rows.forEach((row, k) => {
        row.hidden = !wanted.every((word) => held[k].includes(word));
        left += row.hidden ? 0 : 1;
      });
      told.textContent = wanted.length ? `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows` : "";
    });
  }

  for (const button of document.querySelectorAll("button.csv"))
    button.addEventListener("click", () => {
      const section = button.closest("section");
      const name = button.dataset.table;
      if (name) {
        const held = [...section.querySelectorAll("script.summary-data")].find((s) => (s.dataset.of ?? "summary") === name);
        return save(name, JSON.parse(held.textContent));
      }
      save(button.dataset.alignments, pairs(JSON.parse(section.querySelector("script.alignments").textContent)));
    });
})();
