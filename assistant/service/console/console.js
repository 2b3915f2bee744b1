// The page where an agent asks: one conversation, one passage beside it.

import { ServiceError, ask, endSession, keepKey, read, readSession, save } from "./api.js";
import { noteHandOver, ratings } from "./feedback.js";
import { say, sayAll, switchLanguage, words } from "./strings.js";
import { button, fileName, fillPassage, fillSources, fillText, labelled, make, place } from "./view.js";

const ARMS = { "": "armAuto", rag: "armRag", "rag+ft": "armBoth", ft: "armFt", base: "armBase" };
const READY_POLL_MS = 2000;
const at = (id) => document.getElementById(id);

let history = [];
let running = null;
let opener = null;

// --- choices -------------------------------------------------------------------------------------

let models = [];

async function loadModels() {
  try {
    showPerson(await readSession());
    models = (await read("/v1/models")).data;
  } catch (error) {
    if (error.status === 401) askForKey(error.canLogIn);
    return;
  }
  const kept = at("collection").value;
  const names = models.filter((model) => !model.arm).map((model) => model.collection);
  at("collection").replaceChildren(...names.map((name) => new Option(name, name)));
  if (names.includes(kept)) at("collection").value = kept;
  fillArms();
}

function fillArms() {
  const kept = at("arm").value;
  const there = models.filter((model) => model.collection === at("collection").value).map((model) => model.arm ?? "");
  const options = Object.keys(ARMS).filter((arm) => there.includes(arm)).map((arm) => {
    const option = say(new Option("", arm), ARMS[arm]);
    return option;
  });
  at("arm").replaceChildren(...options);
  at("arm").value = there.includes(kept) ? kept : "";
}

function chosenModel() {
  const [collection, arm] = [at("collection").value, at("arm").value];
  return collection && (arm ? `${collection}:${arm}` : collection);
}

// --- one question --------------------------------------------------------------------------------

class Turn {
  constructor(question) {
    this.question = question;
    this.model = chosenModel();
    this.earlier = [...history];
    this.text = "";
    this.all = [];
    this.used = null;
    this.facts = null;
    this.status = make("p", "status");
    this.status.setAttribute("role", "status");
    this.sources = make("div", "sources");
    this.body = make("div", "text");
    this.end = make("div", "end");
    this.answer = make("article", "answer", this.sources, this.status, this.body, this.end);
    this.element = make("section", "turn", make("div", "question", question), this.answer);
  }

  async run() {
    const withoutDocuments = /:(base|ft)$/.test(this.model);
    this.element.className = "turn busy";
    this.end.replaceChildren();
    say(this.status, withoutDocuments ? "thinking" : "searching");
    const messages = [...this.earlier, { role: "user", content: this.question }];
    running = new AbortController();
    showRunning(true);
    try {
      for await (const event of ask({ model: this.model || undefined, messages }, running.signal)) this.take(event);
      this.finish();
    } catch (error) {
      this.fail(error);
    } finally {
      running = null;
      showRunning(false);
      this.element.classList.remove("busy");
    }
  }

  take(event) {
    const choice = event.choices[0];
    if (!choice) return;
    const { delta } = choice;
    if (delta.role) {
      this.all = delta.context?.citations ?? [];
      if (this.all.length) say(this.status, "writing", { count: this.all.length });
    } else if (choice.finish_reason) {
      this.used = event.deskmate?.context?.citations ?? [];
    }
    if (event.deskmate) this.facts = event.deskmate;
    this.text += delta.content ?? "";
    if (this.text && !this.drawing) this.drawing = requestAnimationFrame(() => this.draw());
    if (delta.role) this.draw();
  }

  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = 0;
    // until the answer is checked every passage of the context can be opened by its number
    const known = new Map(this.all.map((item) => [item.number, item]));
    for (const item of this.used ?? []) known.set(item.number, item);
    const shown = this.used ? new Map(this.used.map((item) => [item.number, item])) : known;
    keepingUp(() => {
      fillText(this.body, this.text, shown, openCitation);
      fillSources(this.sources, [...known.values()], this.used, openCitation);
      if (this.text) this.status.hidden = true;
    });
  }

  finish() {
    if (this.facts?.text) this.text = this.facts.text;
    this.draw();
    const abstained = Boolean(this.facts?.abstained);
    this.element.classList.toggle("abstained", abstained);
    keepingUp(() => {
      if (abstained) this.answer.prepend(this.abstention());
      this.end.replaceChildren(...this.footer());
    });
    history.push({ role: "user", content: this.question });
    history.push({ role: "assistant", content: this.text.replace(/\s?\[\d{1,2}\]/g, "") });
    at("fresh").hidden = false;
  }

  abstention() {
    const head = make("div", "abstention-words", labelled("strong", "", "abstained"), labelled("span", "", "abstainedMore"));
    return make("div", "abstention", head, button("primary soft", "handOver", (event) => this.passOn(event.currentTarget)));
  }

  async passOn(element) {
    await copy(element, this.handOver(), "handOver");
    if (this.facts.answer_id && !this.isPassedOn) this.isPassedOn = await noteHandOver(element, this.facts.answer_id);
  }

  handOver() {
    const passages = this.all.map((item) => `- ${item.document} › ${place(item)}: ${item.quote}`).join("\n");
    return words("handOverText", { collection: at("collection").value, question: this.question, passages });
  }

  footer() {
    const { timings, arm } = this.facts ?? { timings: {} };
    const parts = [labelled("span", "", ARMS[arm] ?? "armAuto")];
    if (timings.first_token) parts.push(labelled("span", "", "tookFirst", { seconds: timings.first_token.toFixed(1) }));
    if (timings.total) parts.push(labelled("span", "", "took", { seconds: timings.total.toFixed(1) }));
    const answerId = this.facts?.answer_id;
    return [make("p", "made", ...parts), ...(answerId ? [ratings(answerId)] : []), button("quiet", "copy", (event) => copy(event.currentTarget, this.plain(), "copy"))];
  }

  plain() {
    const sources = (this.used ?? []).map((item) => `[${item.number}] ${item.document} › ${place(item)}`);
    return [this.text, ...(sources.length ? ["", ...sources] : [])].join("\n");
  }

  fail(error) {
    this.status.hidden = true;
    this.draw();
    if (error.name === "AbortError") {
      keepingUp(() => this.end.replaceChildren(labelled("p", "stopped", "stopped")));
      return;
    }
    if (!(error instanceof ServiceError)) throw error;
    if (error.status === 401) askForKey(error.canLogIn);
    const told = make("div", "failure-words", labelled("strong", "", this.text ? "answerBroke" : "answerFailed"), labelled("span", "", errorKey(error.status)));
    if (error.detail) told.append(make("code", "", error.detail));
    const again = button("quiet", "retry", () => this.again());
    keepingUp(() => this.end.replaceChildren(make("div", "failure", told, again)));
    this.end.firstChild.setAttribute("role", "alert");
  }

  again() {
    if (running) return;
    Object.assign(this, { text: "", all: [], used: null, facts: null, earlier: [...history], model: chosenModel() });
    this.body.replaceChildren();
    this.sources.replaceChildren();
    this.status.hidden = false;
    this.run();
  }
}

function errorKey(status) {
  const known = { 0: "unreachable", 400: "error400", 401: "error401", 404: "error404", 413: "error413", 429: "error429", 502: "error502", 503: "error503" };
  return known[status] ?? "error500";
}

async function copy(element, text, key) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyByHand(text);
  say(element, "copied");
  setTimeout(() => say(element, key), 1500);
}

// Over plain HTTP from another machine browsers give no clipboard to a page.
function copyByHand(text) {
  const box = make("textarea", "", text);
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}

// Changes the page; who was reading at its end stays there.
function keepingUp(change) {
  const page = document.documentElement;
  const follows = page.scrollHeight - page.scrollTop - page.clientHeight < 120;
  change();
  if (follows) window.scrollTo({ top: page.scrollHeight });
}

function showRunning(isRunning) {
  at("send").hidden = isRunning;
  at("stop").hidden = !isRunning;
}

function send() {
  const question = at("question").value.trim();
  if (!question || running) return;
  at("question").value = "";
  grow();
  at("welcome").hidden = true;
  const turn = new Turn(question);
  at("turns").append(turn.element);
  turn.element.scrollIntoView({ block: "start" });
  turn.run();
}

function grow() {
  const box = at("question");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 200)}px`;
}

// --- the passage beside --------------------------------------------------------------------------

async function openPassage(chunkId, citation) {
  const panel = at("passage");
  panel.hidden = false;
  at("stage").classList.add("with-passage");
  panel.replaceChildren(labelled("p", "status", "loading"));
  panel.dataset.chunk = chunkId;
  try {
    const chunk = await read(`/v1/chunks/${encodeURIComponent(chunkId)}`);
    if (panel.dataset.chunk === chunkId) fillPassage(panel, chunk, citation, closePassage, (element) => saveFile(element, chunk));
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    const close = button("quiet", "close", closePassage);
    panel.replaceChildren(make("div", "passage-head", labelled("h2", "", "passage"), close), labelled("p", "", errorKey(error.status)), make("code", "", error.detail));
  }
  panel.focus({ preventScroll: true });
}

async function saveFile(element, chunk) {
  try {
    await save(chunk.download, fileName(chunk.document));
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    say(element, errorKey(error.status));
  }
}

function openCitation(citation, element) {
  opener = element;
  for (const item of document.querySelectorAll(".chosen")) item.classList.remove("chosen");
  const turn = element.closest(".turn");
  for (const item of turn.querySelectorAll(`[data-number="${citation.number}"]`)) item.classList.add("chosen");
  openPassage(citation.chunk_id, citation);
}

function closePassage() {
  at("passage").hidden = true;
  at("stage").classList.remove("with-passage");
  for (const item of document.querySelectorAll(".chosen")) item.classList.remove("chosen");
  if (location.hash) window.history.replaceState(null, "", location.pathname);
  (opener?.isConnected ? opener : at("question")).focus({ preventScroll: true });
  opener = null;
}

function openFromAddress() {
  const found = /^#chunk=([\w-]+)$/.exec(location.hash);
  if (found) openPassage(found[1], null);
}

// --- readiness, key, switches --------------------------------------------------------------------

async function watchReadiness() {
  const reply = await fetch("/readyz").catch(() => null);
  const notice = at("notice");
  if (reply?.ok) {
    notice.hidden = true;
    loadModels();
    return;
  }
  const problem = await reply?.json().catch(() => ({}));
  if (problem) say(notice, "notReady", { reason: (problem.reasons ?? []).join("; ") });
  else say(notice, "unreachable");
  notice.hidden = false;
  setTimeout(watchReadiness, READY_POLL_MS);
}

function askForKey(canLogIn) {
  at("key-form").hidden = false;
  at("login").hidden = !canLogIn;
  at(canLogIn ? "login" : "key").focus();
}

function showPerson(session) {
  at("leave").hidden = !session.is_session;
  at("leave").title = session.name;
}

async function leave() {
  const elsewhere = await endSession().catch(() => null);
  location.assign(elsewhere ?? "/");
}

function switchTheme() {
  const isDark = document.documentElement.dataset.theme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
}

function startAfresh() {
  running?.abort();
  history = [];
  at("turns").replaceChildren();
  at("welcome").hidden = false;
  at("fresh").hidden = true;
  if (!at("passage").hidden) closePassage();
  at("question").focus();
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
at("question").addEventListener("input", grow);
at("question").addEventListener("keydown", (event) => {
  // an Enter that ends a Chinese input method's composition must not send
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
at("stop").addEventListener("click", () => running?.abort());
at("fresh").addEventListener("click", startAfresh);
at("leave").addEventListener("click", leave);
at("theme").addEventListener("click", switchTheme);
at("language").addEventListener("click", switchLanguage);
at("collection").addEventListener("change", fillArms);
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey(at("key").value.trim());
  at("key-form").hidden = true;
  loadModels();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (!at("passage").hidden) closePassage();
  else running?.abort();
});
window.addEventListener("hashchange", openFromAddress);

const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
sayAll();
watchReadiness();
openFromAddress();
at("question").focus();
