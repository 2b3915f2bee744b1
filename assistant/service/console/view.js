// Builds what is shown. Text from outside goes in through textContent only.

import { say, words } from "./strings.js";

export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

export function labelled(tag, className, key, vars) {
  return say(make(tag, className), key, vars);
}

export function button(className, key, onClick) {
  const element = labelled("button", className, key);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}

export function fileName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

// What tells one card from the next: the page and the section itself, not the chapters around it.
function spot(citation) {
  const parts = citation.heading_path.slice(-1);
  if (citation.page !== null) parts.unshift(words("page", { page: citation.page }));
  return parts.join(" · ");
}

export function place(citation) {
  const parts = [...citation.heading_path];
  if (citation.page !== null) parts.push(words("page", { page: citation.page }));
  return parts.join(" › ");
}

const PIECES = /\*\*(.+?)\*\*|`([^`\n]+)`|\s?\[(\d{1,2})\]/g;

// Fills an element with an answer's text: marks become buttons, **bold** and `code` look so.
export function fillText(element, text, citations, onOpen) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(PIECES)) {
    const [whole, bold, code, number] = found;
    nodes.push(text.slice(end, found.index));
    end = found.index + whole.length;
    if (bold) nodes.push(make("strong", "", bold));
    else if (code) nodes.push(make("code", "", code));
    else if (citations.has(Number(number))) nodes.push(markButton(citations.get(Number(number)), onOpen));
    else nodes.push(whole);
  }
  nodes.push(text.slice(end));
  element.replaceChildren(...nodes);
}

function markButton(citation, onOpen) {
  const mark = make("button", "mark", String(citation.number));
  mark.type = "button";
  mark.dataset.number = citation.number;
  mark.setAttribute("aria-label", words("sourceOne", { number: citation.number, document: fileName(citation.document) }));
  mark.title = citation.quote;
  mark.addEventListener("click", () => onOpen(citation, mark));
  return mark;
}

function sourceCard(citation, onOpen) {
  const where = make("span", "source-where", spot(citation));
  const name = make("span", "source-name", fileName(citation.document));
  const card = make("button", "source", make("span", "source-number", String(citation.number)), make("span", "source-text", name, where));
  card.type = "button";
  card.dataset.number = citation.number;
  card.title = [citation.document, place(citation)].filter(Boolean).join("\n");
  card.addEventListener("click", () => onOpen(citation, card));
  return card;
}

// The numbered passages of the context; those that the checked text does not use are dimmed.
export function fillSources(element, all, used, onOpen) {
  if (!all.length) return;
  const numbers = new Set((used ?? all).map((item) => item.number));
  const cards = all.map((item) => {
    const card = sourceCard(item, onOpen);
    card.classList.toggle("unused", !numbers.has(item.number));
    return card;
  });
  const title = labelled("h3", "small-title", numbers.size ? "sources" : "closest");
  element.replaceChildren(title, make("div", "source-list", ...cards));
}

export function fillPassage(element, chunk, citation, onClose, onSave) {
  const heading = labelled("h2", "", citation ? "quoteOf" : "passage");
  heading.id = "passage-title";
  const close = button("quiet", "close", onClose);
  const facts = make("dl", "facts");
  const fact = (key, value) => facts.append(labelled("dt", "", key), make("dd", "", value));
  fact("documentOf", chunk.document);
  if (chunk.heading_path.length) fact("whereOf", chunk.heading_path.join(" › "));
  if (chunk.page !== null) fact("pageOf", String(chunk.page));
  fact("versionOf", String(chunk.version));
  if (chunk.download) {
    const file = button("link", "download", (event) => onSave(event.currentTarget));
    facts.append(labelled("dt", "", "fileOf"), make("dd", "", file));
  }
  const head = make("div", "passage-head", heading, close);
  element.replaceChildren(head, facts, quoted(chunk.text, citation));
  element.querySelector(".quote")?.scrollIntoView({ block: "nearest" });
}

// The service counts characters, a browser's strings count UTF-16 units: cut by characters.
function quoted(text, citation) {
  const body = make("div", "passage-text");
  if (!citation) {
    body.textContent = text;
    return body;
  }
  const characters = [...text];
  const part = (from, to) => characters.slice(from, to).join("");
  body.append(part(0, citation.start), make("mark", "quote", part(citation.start, citation.end)), part(citation.end));
  return body;
}
