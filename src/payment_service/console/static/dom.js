// Builds what is shown. Texts are texts: nothing here reads markup, and the policy forbids it, too.

export const byId = (id) => document.getElementById(id);

/** Make an element: h("a.name", { href }, "text", child, null). Null and false children are left out. */
export function h(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

export const replace = (element, ...children) => element.replaceChildren(...children.flat().filter(Boolean));

const grouped = new Intl.NumberFormat("en-US");
export const number = (value) => grouped.format(value);
export const money = (amount, currency) => `${number(amount)}${currency ? ` ${currency}` : ""}`;

const two = (value) => String(value).padStart(2, "0");

/** An instant to the second, in UTC, as logs and the command line write it. */
export function instant(text) {
  const at = new Date(text);
  const day = `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
  return `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}Z`;
}

/** How long something takes: 42 s, 3 min, 5 h, 12 d; the two largest units. */
export function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const parts = [];
  let left = Math.max(0, Math.round(seconds));
  for (const [name, size] of units) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count || (parts.length === 0 && size === 1)) parts.push(`${count} ${name}`);
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.join(" ");
}

export const secondsBetween = (from, until) => (new Date(until) - new Date(from)) / 1000;

export const when = (text) => h("time", { datetime: text }, instant(text));

export const id = (text) => h("code.id", null, text);

export const badge = (text, kind) => h(`span.badge.${kind ?? "plain"}`, null, text.replaceAll("_", " "));

export function table(headings, rows, { empty, label, kind }) {
  if (!rows.length) return h("p.empty", null, empty);
  const head = h("tr", null, headings.map((heading) => h("th", { scope: "col" }, heading)));
  const body = rows.map((cells) => h("tr", null, cells.map((cell, column) =>
    h("td", { "data-label": headings[column] || null }, cell))));
  return h("div.scroll", null, h(kind ? `table.${kind}` : "table", { "aria-label": label }, h("thead", null, head), h("tbody", null, body)));
}
