(() => {
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
    for (const fold of document.querySelectorAll("main details:not([open])")) { fold.open = true; shut.push(fold); }
  });
  addEventListener("afterprint", () => { for (const fold of shut.splice(0)) fold.open = false; });
  if (matchMedia("(max-width: 1179px)").matches) document.querySelector("nav details").open = false;

  // A pair of models is lit wherever it is shown; a click on its row in a figure leads to its answer.
  const shown = [...document.querySelectorAll("[data-pair]")];
  const light = (pair) => {
    document.documentElement.classList.toggle("linking", Boolean(pair));
    for (const part of shown) part.classList.toggle("lit", part.dataset.pair === pair);
  };
  for (const name of ["pointerover", "focusin"])
    document.addEventListener(name, (event) => light(event.target.closest?.("[data-pair]")?.dataset.pair));
  for (const part of shown)
    if (part instanceof SVGElement) part.addEventListener("click", () => { location.hash = part.dataset.pair; });

  // Heat maps: one cell of each can be reached by Tab, arrow keys move; pointing and focus tell what a cell holds.
  // The same pair of layers, or of models, is shown in the other maps of the section too.
  const told = new Map();
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
    const parts = (cell) => {
      const all = words.get(cell);
      const score = all.indexOf(", chance "); // a cell without a score has a name only
      const cut = score < 0 ? all.length : all.lastIndexOf(": ", score);
      return [all.slice(0, cut), score < 0 ? "" : `${all.slice(cut + 2)}.`];
    };
    const tell = (cell, ...more) => {
      const [name, score] = parts(cell);
      const head = document.createElement("b");
      head.textContent = name;
      readout.replaceChildren(head, score, ...more);
    };
    const mark = (cell) => {
      for (const path of marks) {
        path.setAttribute("d", cell.getAttribute("d"));
        path.setAttribute("visibility", "visible");
      }
      tell(cell);
    };
    const named = new Map(rows.flat().map((cell) => [parts(cell)[0], cell]));
    const section = layout.closest("section");
    const others = told.get(section) ?? told.set(section, []).get(section);
    const follow = (name) => { if (named.has(name)) mark(named.get(name)); };
    others.push(follow);
    const show = (cell) => {
      mark(cell);
      for (const other of others) if (other !== follow) other(parts(cell)[0]);
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
})();
