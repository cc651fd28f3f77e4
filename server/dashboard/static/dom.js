// Small helpers around the document. Text goes in as text, never as HTML.

export const $ = (id) => document.getElementById(id);

/** An element with attributes (on* are listeners, null leaves one out) and children. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Set text only where it changed: the page is updated twice a second, and selections should survive that. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** With a capital letter and a full stop. */
export function sentence(text) {
  const upper = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

/** Bring the children of `parent` into line with `items`: one element a key, made once, updated every time. */
export function reconcile(parent, items, { key, make, update }) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let node = old.get(name);
    if (!node) {
      node = make(item);
      node.dataset.key = name;
    }
    old.delete(name);
    update(node, item);
    if (node === before) before = before.nextElementSibling;
    else parent.insertBefore(node, before);
  }
  for (const node of old.values()) node.remove();
}

let noteTimer = 0;

/** Say for a few seconds what was done, or longer what went wrong. */
export function note(text, { wrong = false } = {}) {
  const notes = $("notes");
  notes.replaceChildren(el("p", wrong ? { role: "alert", class: "wrong" } : {}, text));
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => notes.replaceChildren(), wrong ? 12_000 : 4000);
}

/** Show an error in a dialog or section that has a `.error` line; null takes it away. */
export function showError(place, text) {
  const line = place.querySelector(".error");
  line.hidden = !text;
  setText(line, text ?? "");
}

/** Copy text, also where the page is not served over HTTPS. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { readonly: true, class: "offscreen" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
