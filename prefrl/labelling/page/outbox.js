// Answers on their way: kept until the service has said that it has them, over reloads too.

import { Away, Refusal, sleep } from "./shared.js";

const FINAL = new Set([400, 403, 404, 409, 410, 422]); // no use in sending it once more

function kept(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "[]");
  } catch {
    return []; // somebody else's
  }
}

export class Outbox {
  /**
   * @param ask sends a request.
   * @param key of what is kept in the browser.
   * @param told is called with an entry and the refusal, where the service wants it no more.
   * @param connection is called with true and false: whether the service can be reached.
   */
  constructor(ask, key, { told, connection }) {
    this.ask = ask;
    this.key = `prefrl.unsent.${key}`;
    this.told = told;
    this.connection = connection;
    this.entries = kept(this.key);
    this.sending = null;
    addEventListener("online", () => this.wake?.());
  }

  get isEmpty() {
    return this.entries.length === 0;
  }

  /** Adds {method, id, body} and returns when all that is in it has arrived. */
  add(entry) {
    this.entries.push(entry);
    this.#keep();
    return this.flush();
  }

  flush() {
    this.sending ??= this.#send().finally(() => { this.sending = null; });
    return this.sending;
  }

  async #send() {
    let pause = 0.5;
    while (!this.isEmpty) {
      const entry = this.entries[0];
      try {
        await this.ask(entry.method, `/questions/${entry.id}/answer`, entry.body);
        this.connection(true);
      } catch (error) {
        const isFinal = error instanceof Refusal && FINAL.has(error.status);
        if (!isFinal) {
          if (error instanceof Refusal && error.status === 401) throw error;
          this.connection(false);
          await this.#rest(error instanceof Away ? pause : Math.max(error.retryAfter || 0, pause));
          pause = Math.min(pause * 2, 8);
          continue;
        }
        entry.isRefused = true;
        this.told(entry, error);
      }
      pause = 0.5;
      this.entries.shift();
      this.#keep();
    }
  }

  #rest(seconds) {
    return Promise.race([sleep(seconds), new Promise((done) => { this.wake = done; })]);
  }

  #keep() {
    if (this.isEmpty) localStorage.removeItem(this.key);
    else localStorage.setItem(this.key, JSON.stringify(this.entries));
  }
}
