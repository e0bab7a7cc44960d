"use strict";
document.documentElement.classList.add("js");
const SVG = "http://www.w3.org/2000/svg";

// What is downloaded is made from what the page holds.
const keep = (name, blob) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const quote = (value) => {
  let text = value === null || value === undefined ? "" : String(value);
  // spreadsheets run a cell that begins like a formula; a number is none
  if (/^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text))) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const keepLines = (name, lines) => {
  const text = lines.map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n";
  keep(`${name}.csv`, new Blob([text], { type: "text/csv" }));
};
const button = (text, label, act) => {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
};
const tools = (...buttons) => {
  const made = document.createElement("p");
  made.className = "tools";
  made.append(...buttons);
  return made;
};
