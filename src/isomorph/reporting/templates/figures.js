(() => {
  // A figure as a file: on a light page, with the rules and the pictures that it needs.
  const sheet = [...document.styleSheets[0].cssRules];
  const light = sheet.find((rule) => rule.selectorText === ":root").style;
  const rules = sheet.filter((rule) => rule.selectorText?.startsWith(".figure")).map((rule) => rule.cssText).join("")
    .replace(/var\(--(\w+)\)/g, (_, name) => light.getPropertyValue(`--${name}`).trim());
  const markup = (svg) => {
    const copy = svg.cloneNode(true);
    for (const gone of copy.querySelectorAll(".cursor, .cursor-halo, .hit")) gone.remove();
    const add = (name) => copy.insertBefore(document.createElementNS(SVG, name), copy.firstChild);
    const back = add("rect");
    for (const side of ["width", "height"]) back.setAttribute(side, svg.getAttribute(side));
    back.setAttribute("class", "page");
    const defs = add("defs");
    for (const id of new Set([...copy.querySelectorAll("use")].map((use) => use.getAttribute("href")))) {
      const symbol = document.getElementById(id.slice(1));
      if (symbol) defs.append(symbol.cloneNode(true));
    }
    add("style").textContent = rules;
    add("title").textContent = svg.getAttribute("aria-label");
    copy.setAttribute("font-family", getComputedStyle(svg).fontFamily.replaceAll('"', "'"));
    for (const name of ["role", "aria-label", "data-name"]) copy.removeAttribute(name);
    return new XMLSerializer().serializeToString(copy);
  };
  const ZOOM = 3; // 300 dots an inch
  const paint = (svg) => {
    const picture = new Image();
    const source = URL.createObjectURL(new Blob([markup(svg)], { type: "image/svg+xml" }));
    picture.addEventListener("load", () => {
      const canvas = document.createElement("canvas");
      canvas.width = ZOOM * svg.getAttribute("width");
      canvas.height = ZOOM * svg.getAttribute("height");
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(source);
      canvas.toBlob((blob) => keep(`${svg.dataset.name}.png`, blob), "image/png");
    });
    picture.src = source;
  };
  for (const svg of document.querySelectorAll("figure svg.figure")) {
    const what = svg.getAttribute("aria-label").slice(0, 80);
    svg.closest("figure").append(tools(
      button("SVG", `Download as SVG: ${what}`, () => keep(`${svg.dataset.name}.svg`, new Blob([markup(svg)], { type: "image/svg+xml" }))),
      button("PNG", `Download as PNG: ${what}`, () => paint(svg)),
    ));
  }

  // Texts to copy.
  for (const text of document.querySelectorAll("main pre")) {
    const name = text.getAttribute("aria-label");
    const copy = button("Copy", `Copy ${name}`, async () => {
      const range = document.createRange();
      range.selectNodeContents(text);
      getSelection().removeAllRanges();
      getSelection().addRange(range); // what the clipboard may not take can be copied by hand
      try { await navigator.clipboard.writeText(text.textContent); } catch { document.execCommand("copy"); }
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
    text.after(tools(copy));
  }
})();
