// One line about what happened, for a while.

import { $, element } from "./dom.js";

const SHOWN_MS = { good: 3500, bad: 8000 };
const MOST = 3;

export function notice(text, kind = "good") {
  const box = $("notices");
  if (box.lastChild?.textContent === text) box.lastChild.remove();
  const line = element("p", { className: kind }, text);
  box.append(line);
  while (box.children.length > MOST) box.firstChild.remove();
  setTimeout(() => line.remove(), SHOWN_MS[kind]);
}

export const problem = (error) => notice(error.message ?? String(error), "bad");
