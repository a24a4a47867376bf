/** Building and updating the document. Data gets in as text and attributes only, never as markup. */
const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element with attributes and children (nodes or text). */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  set(node, attributes);
  node.append(...children);
  return node;
}

/** Sets attributes that changed; null or undefined removes one. */
export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }
}

/** Writes a text that changed: selections and screen readers are left alone otherwise. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Brings a parent's children in line with a list. Nodes of keys that stay are kept, so focus and hover stay as well. */
export function keep(parent, items, keyOf, create, update) {
  const keys = items.map((item) => String(keyOf(item)));
  const wanted = new Set(keys);
  for (const child of [...parent.children]) if (!wanted.has(child.dataset.key)) child.remove();
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let at = parent.firstElementChild;
  for (const [i, item] of items.entries()) {
    const child = known.get(keys[i]) ?? create(item);
    child.dataset.key = keys[i];
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
    update(child, item);
  }
}

export const byId = (id) => document.getElementById(id);
