// Talks to the service: JSON in and out, and the stream of an answer.

export class ServiceError extends Error {
  constructor(status, detail, canLogIn = false) {
    super(detail);
    this.status = status;
    this.detail = detail;
    this.canLogIn = canLogIn;
  }
}

let csrfToken = "";

export function keepKey(key) {
  sessionStorage.setItem("key", key);
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = `Bearer ${key}`;
  else if (csrfToken) headers["X-CSRF-Token"] = csrfToken;
  let reply;
  try {
    reply = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, "");
  }
  if (!reply.ok) throw await failure(reply);
  return reply;
}

async function failure(reply) {
  const body = await reply.json().catch(() => ({}));
  const command = body.next_command ? ` → ${body.next_command}` : "";
  const fields = (body.errors ?? []).map((item) => `${item.field}: ${item.message}`).join("; ");
  const detail = body.error?.message ?? (fields || body.detail || "") + command;
  const canLogIn = reply.status === 401 && (reply.headers.get("Link") ?? "").includes('rel="login"');
  return new ServiceError(reply.status, detail, canLogIn);
}

// Returns who asks; where the company's login let the page in, what it changes is allowed from then on.
export async function readSession() {
  const session = await read("/v1/session");
  csrfToken = session.csrf_token ?? "";
  return session;
}

// Ends the session; returns where the company's own login is ended, if it says so.
export async function endSession() {
  const reply = await call("/v1/session", { method: "DELETE" });
  return (await reply.json()).provider_logout_url;
}

export async function read(path) {
  return (await call(path)).json();
}

export async function send(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await call(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

// Saves a file under a name; a link alone would come without the key.
export async function save(path, name) {
  const address = URL.createObjectURL(await (await call(path)).blob());
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

// Yields the parsed events of a streamed answer; ends by an exception where the stream breaks off.
export async function* ask(body, signal) {
  const reply = await call("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new ServiceError(502, "");
    const events = (left + value).split("\n\n");
    left = events.pop();
    for (const event of events) {
      if (!event.startsWith("data: ")) continue;
      if (event === "data: [DONE]") return;
      const parsed = JSON.parse(event.slice(6));
      if (parsed.error) throw new ServiceError(502, parsed.error.message);
      yield parsed;
    }
  }
}
