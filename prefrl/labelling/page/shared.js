// Tokens, and requests that carry one.

// Where the service is: a reverse proxy may have put it below a path.
export const BASE = new URL("..", import.meta.url);
const API = "api/v1";

/** Returns the address of what the service calls `path`, which begins with a slash. */
export const addressOf = (path) => new URL(`.${path}`, BASE).href;

/** A response that says no: its status, one line, and when to ask again (seconds). */
export class Refusal extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get isAway() {
    return AWAY.has(this.status);
  }
}

/** No response at all: the service or the connection is away. */
export class Away extends Error {
  isAway = true;
}

// Services below paths of one name share what a browser keeps.
const keyOf = (kind) => `prefrl.${kind}${BASE.pathname === "/" ? "" : BASE.pathname}`;

/**
 * Takes the token out of the address, where it would be seen and copied, or returns the one kept.
 * A tab keeps its own, so that two people can try it on one machine; a new tab takes the last one.
 */
export function takeToken(kind) {
  const key = keyOf(kind);
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(key, given);
    localStorage.setItem(key, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(key) ?? localStorage.getItem(key) ?? "";
}

export function forgetToken(kind) {
  for (const storage of [sessionStorage, localStorage]) storage.removeItem(keyOf(kind));
}

// A proxy says so of a service that is away, and the service of its database.
const AWAY = new Set([502, 503, 504]);

/**
 * Returns a function that asks the service: `ask("GET", "/progress")` gives JSON, null for 204.
 * `connection` is called after each request with whether the service was there.
 */
export function asker(token, connection = () => {}) {
  return async function ask(method, path, body, as = "json") {
    const headers = { Authorization: `Bearer ${token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(addressOf(/^\/(api|page)\//.test(path) ? path : `/${API}${path}`), {
        method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      connection(false);
      throw new Away(String(error));
    }
    connection(!AWAY.has(response.status));
    const retryAfter = Number(response.headers.get("Retry-After")) || 0;
    if (response.status === 204) return as === "raw" ? response : null;
    if (!response.ok) {
      const said = await response.json().catch(() => ({}));
      throw new Refusal(response.status, said.detail ?? response.statusText, retryAfter);
    }
    return as === "json" ? response.json() : response;
  };
}

export const $ = (id) => document.getElementById(id);
export const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
export const count = (number) => number.toLocaleString("en");

/** Makes an element; text is text, never HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
