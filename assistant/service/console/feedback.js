// What a person makes of an answer: a rating, what would be right, a hand-over.

import { ServiceError, send } from "./api.js";
import { labelled, make } from "./view.js";
import { say, words } from "./strings.js";

const THUMBS = {
  up: "M7 10v11H3V10zM9 21h8.2a2 2 0 0 0 2-1.6l1.4-7A2 2 0 0 0 18.7 10H14V5.5A2.5 2.5 0 0 0 11.5 3L9 10z",
  down: "M17 14V3h4v11zM15 3H6.8a2 2 0 0 0-2 1.6l-1.4 7A2 2 0 0 0 5.3 14H10v4.5a2.5 2.5 0 0 0 2.5 2.5L15 14z",
};

// The two thumbs below an answer; a bad rating asks what would be right.
export function ratings(answerId) {
  const element = make("div", "ratings");
  const thumbs = ["up", "down"].map((rating) => thumb(rating, () => rate(element, thumbs, answerId, rating)));
  element.append(...thumbs);
  return element;
}

function thumb(rating, onClick) {
  const element = make("button", `quiet icon thumb ${rating}`);
  element.type = "button";
  element.dataset.title = rating;
  element.title = words(rating);
  element.setAttribute("aria-label", element.title);
  element.setAttribute("aria-pressed", "false");
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(picture.namespaceURI, "path");
  path.setAttribute("d", THUMBS[rating]);
  picture.append(path);
  element.append(picture);
  element.addEventListener("click", onClick);
  return element;
}

async function rate(element, thumbs, answerId, rating) {
  const told = status(element);
  for (const item of thumbs) item.disabled = true;
  if (!await tell(told, "/v1/feedback", { answer_id: answerId, rating }, "thanks")) {
    for (const item of thumbs) item.disabled = false;
    return;
  }
  thumbs.find((item) => item.dataset.title === rating).setAttribute("aria-pressed", "true");
  if (rating === "down") askWhatIsRight(told, answerId);
}

function askWhatIsRight(told, answerId) {
  const box = make("input");
  box.dataset.placeholder = box.dataset.label = "whatIsRight";
  box.placeholder = words("whatIsRight");
  box.setAttribute("aria-label", box.placeholder);
  box.maxLength = 2000;
  const form = make("form", "correcting", box, labelled("button", "quiet", "sendCorrection"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = box.value.trim();
    if (text && await tell(told, "/v1/feedback", { answer_id: answerId, correction: text }, "thanks")) form.remove();
  });
  told.parentElement.after(form);
  box.focus();
}

// Notes that a question is passed to a person: who watches hand-overs finds it there, with what was asked and found.
export function noteHandOver(element, answerId) {
  return tell(status(element), "/v1/handovers", { answer_id: answerId }, "handOverNoted");
}

function status(element) {
  const there = element.parentElement.querySelector(".told");
  if (there) return there;
  const told = make("p", "told");
  told.setAttribute("role", "status");
  element.before(told);
  return told;
}

async function tell(told, path, body, key) {
  try {
    const stored = await send(path, body);
    say(told, key, { id: stored.id });
    return true;
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    say(told, "notStored");
    return false;
  }
}
