(() => {
  // Downloads of what is held beside tables: every pair, with all digits.
  const COLUMNS = ["values", "chance", "p_value", "p_family", "calibrated", "threshold", "low", "high"];
  const pairs = (alignments) => {
    const lines = [["metric", "x_layer", "y_layer", "n", "x_dim", "y_dim", "value", ...COLUMNS.slice(1), "permutations"]];
    for (const a of alignments)
      a.x_layers.forEach((x, i) => a.y_layers.forEach((y, j) =>
        lines.push([a.variant, x, y, a.n, a.x_dims[i], a.y_dims[j],
          ...COLUMNS.map((name) => (a[name] ? a[name][i][j] : null)), a.permutations])));
    return lines;
  };
  for (const asked of document.querySelectorAll("button.csv"))
    asked.addEventListener("click", () => {
      const section = asked.closest("section");
      const name = asked.dataset.table;
      if (name) {
        const held = [...section.querySelectorAll("script.summary-data")].find((s) => (s.dataset.of ?? "summary") === name);
        return keepLines(name, JSON.parse(held.textContent));
      }
      keepLines(asked.dataset.alignments, pairs(JSON.parse(section.querySelector("script.alignments").textContent)));
    });

  // A cell without the flag in it, and the number that it begins with: NaN where there is none.
  const words = (cell) => {
    const copy = cell.cloneNode(true);
    for (const flag of copy.querySelectorAll(".flag")) if (flag.parentElement.textContent !== flag.textContent) flag.remove();
    return copy.textContent.trim();
  };
  const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const number = (text) => {
    const plain = text.replaceAll("−", "-").replace(/^< /, "").replaceAll(",", "");
    const found = /^[+-]?[\d.]+/.exec(plain);
    if (!found) return NaN;
    const power = /^(?:[\d.]+ × )?10(⁻?)([⁰¹²³⁴-⁹]+)/.exec(plain);
    if (!power) return Number(found[0]);
    const exponent = [...power[2]].map((digit) => digits.indexOf(digit)).join("");
    return Number(`${plain.startsWith("10") ? 1 : found[0]}e${power[1] ? "-" : ""}${exponent}`);
  };
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell ? (cell.dataset.v ?? words(cell)) : "";
  };
  const blank = (text) => text === "" || text === "–";

  // Rows that belong together: a row, and those below it that tell more of it. A heading of a group stays on top.
  const units = (body) => {
    const found = [];
    for (const row of body.rows)
      if (row.classList.contains("models")) continue;
      else if (row.classList.contains("held") && found.length) found.at(-1).push(row);
      else found.push([row]);
    return found;
  };
  const LONG = 12;
  for (const table of document.querySelectorAll("main table")) {
    if (!table.tHead || table.classList.contains("facts")) continue;
    const bodies = [...table.tBodies];
    const rows = bodies.flatMap((body) => units(body));
    const heads = [...table.tHead.rows[0].cells];
    const region = table.closest(".scroll");
    const title = region?.getAttribute("aria-label") ?? "table";

    // A click on a heading sorts by its column, another turns the order round; blanks stay last.
    if (table.classList.contains("sorts") || rows.length > 4)
      heads.forEach((head, column) => {
        if (!head.textContent.trim()) return;
        const held = rows.map((unit) => key(unit[0], column)).filter((text) => !blank(text));
        const numeric = head.hasAttribute("data-numeric") ||
          (!table.classList.contains("sorts") && held.length > 0 && held.every((text) => !Number.isNaN(number(text))));
        const sorter = document.createElement("button");
        sorter.type = "button";
        sorter.append(...head.childNodes);
        head.replaceChildren(sorter);
        sorter.addEventListener("click", () => {
          const down = head.getAttribute("aria-sort") === "ascending" || (!head.hasAttribute("aria-sort") && numeric);
          const order = (a, b) => {
            const [x, y] = [key(a[0], column), key(b[0], column)];
            if (blank(x) || blank(y)) return blank(x) - blank(y);
            if (!numeric) return down ? y.localeCompare(x) : x.localeCompare(y);
            const [u, v] = [x, y].map((text) => (Number.isNaN(Number(text)) ? number(text) : Number(text)));
            return down ? v - u : u - v;
          };
          for (const other of heads) other.removeAttribute("aria-sort");
          head.setAttribute("aria-sort", down ? "descending" : "ascending");
          const sorted = bodies.map((body) => [body, units(body).sort(order)]);
          for (const [body, inside] of sorted) body.append(...inside.flat());
          if (sorted.length > 1) {
            const full = sorted.filter(([, inside]) => inside.length);
            table.append(...full.sort((a, b) => order(a[1][0], b[1][0])).map(([body]) => body));
          }
        });
      });

    // Long tables are searched: rows, or groups, that hold every word stay.
    if (rows.length > LONG && region && !region.previousElementSibling?.matches(".find")) {
      const find = document.createElement("p");
      find.className = "find";
      const label = document.createElement("label");
      const field = document.createElement("input");
      field.type = "search";
      label.append("Find ", field);
      const told = document.createElement("span");
      told.setAttribute("aria-live", "polite");
      find.append(label, " ", told);
      region.before(find);
    }
    if (region && rows.length)
      region.after(tools(button("CSV", `Download as CSV: ${title}`, () => {
        const line = (row, group) => [...group, ...[...row.cells].map((cell) => cell.dataset.v ?? words(cell))];
        const grouped = bodies.some((body) => body.rows[0]?.classList.contains("models"));
        const lines = [[...(grouped ? ["models"] : []), ...heads.map((head) => head.textContent.trim())]];
        for (const body of bodies) {
          const group = grouped ? [body.querySelector(".models a, .models th")?.textContent.trim() ?? ""] : [];
          for (const row of body.rows) if (!row.classList.contains("models") && !row.hidden) lines.push(line(row, group));
        }
        keepLines(title.toLowerCase().replace(/[^a-z0-9]+/g, "-"), lines);
      })));
  }
  for (const field of document.querySelectorAll(".find input")) {
    const find = field.closest(".find");
    const table = find.nextElementSibling.querySelector("table");
    const grouped = table.tBodies.length > 1;
    const parts = (grouped ? [...table.tBodies] : units(table.tBodies[0])).map((part) => (grouped ? [part] : part));
    const held = parts.map((part) => part.map((row) => row.textContent).join(" ").toLowerCase());
    const told = find.querySelector("[aria-live]");
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      parts.forEach((part, k) => {
        const there = wanted.every((word) => held[k].includes(word));
        for (const row of part) row.hidden = !there;
        left += there ? 1 : 0;
      });
      const what = grouped ? "groups" : "rows";
      told.textContent = wanted.length ? `${left.toLocaleString("en")} of ${parts.length.toLocaleString("en")} ${what}` : "";
    });
  }
})();
