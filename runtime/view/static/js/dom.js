// Small helpers around the document. Text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const icon = (name) => svg("svg", {}, svg("use", { href: `#i-${name}` }));

export function iconButton(name, label, onclick, properties = {}) {
  return element("button", { type: "button", title: label, onclick, ...properties }, icon(name), element("span", { className: "unseen" }, label));
}

// The name of a stream without the folders of its file; whole where it is no file.
export const shortName = (name) => (name.includes("://") ? name : name.replace(/\/+$/, "").split("/").at(-1)) || name;

// Set text only where it differs, so that a screen reader is not told the same again.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
