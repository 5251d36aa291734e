// Answers on their way: kept until the service has said that it has them, over reloads too.

import { Refusal, sleep } from "./shared.js";

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
   * @param changed is called whenever an entry has come or gone.
   */
  constructor(ask, key, { told, changed }) {
    this.ask = ask;
    this.key = `prefrl.unsent.${key}`;
    this.told = told;
    this.changed = changed;
    this.entries = kept(this.key);
    this.sending = null;
    addEventListener("online", () => this.wake?.());
  }

  /** How many answers, those taken back included, the service has not heard of. */
  get size() {
    return this.entries.length;
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

  /** Gives up what is in it: nobody will take it any more. Returns how many that were. */
  clear() {
    const num = this.entries.length;
    this.entries = [];
    this.#keep();
    return num;
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
      } catch (error) {
        const isFinal = error instanceof Refusal && FINAL.has(error.status);
        if (!isFinal) {
          if (error instanceof Refusal && error.status === 401) throw error;
          await this.#rest(Math.max(error.retryAfter || 0, pause));
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
    this.changed();
  }
}
