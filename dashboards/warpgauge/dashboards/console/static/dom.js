// Building elements without innerHTML: every text from the API is set as text, never as markup.

import { hold } from "./keep.js";

/** An element with attributes, listeners (onclick: f) and children (strings become text, null is skipped). */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value); // through CSSOM: the CSP forbids style attributes
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Replace what is inside a node; a person's focus, marked text, scrolling and unfolding stay. */
export function replace(node, ...children) {
  const putBack = hold(node);
  node.replaceChildren(...children.flat().filter(Boolean));
  putBack();
}

/** Set a text only if it is another: who listens to the page is told of each setting. */
export function tell(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const byId = (id) => document.getElementById(id);

/** A table with a header row; columns that hold numbers are right-aligned. */
export function table(headers, rows, { numeric = [] } = {}) {
  const cell = (tag, content, column) =>
    element(tag, { class: numeric.includes(column) ? "number" : null, scope: tag === "th" ? "col" : null }, content);
  return element(
    "div", { class: "scroll" },
    element("table", {},
      element("thead", {}, element("tr", {}, headers.map((text, column) => cell("th", text, column)))),
      element("tbody", {}, rows.map((row) => element("tr", {}, row.map((content, column) => cell("td", content, column)))))));
}

/** A command line with a button that copies it. */
export function command(text) {
  const button = element("button", { type: "button", "aria-label": `Copy ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return element("div", { class: "command" }, element("code", {}, text), button);
}
