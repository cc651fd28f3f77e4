// The feed: one JSON object a line from GET /v1/dashboard, read as it comes. Reconnects by itself.

import { open } from "./api.js";

const RETRY_MS = [500, 1000, 2000, 4000];
// The server sends twice a second; this long without a line, the connection is dead whatever TCP thinks.
const SILENCE_MS = 6000;

export class Feed {
  /** on: {welcome(line), snapshot(line), lost(message), refused(message, status)}; `refused` wants a `start` again. */
  constructor(on) {
    this.on = on;
    this.run = 0;
  }

  /** Connect, instead of any earlier connection. */
  start() {
    this.abort?.abort();
    this.loop((this.run += 1));
  }

  async loop(run) {
    for (let failures = 0; run === this.run; failures += 1) {
      try {
        await this.read(() => (failures = 0));
        if (run === this.run) this.on.lost("The server has closed the connection.");
      } catch (error) {
        if (run !== this.run) return;
        if (error.status === 401) return this.on.refused(error.message, error.status);
        this.on.lost(error.status ? error.message : "The server does not answer.");
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]));
    }
  }

  async read(alive) {
    const abort = (this.abort = new AbortController());
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await open("/v1/dashboard", { signal: abort.signal });
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
        const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line) this.take(JSON.parse(line));
        alive();
      }
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
  }

  take(line) {
    if (line.type === "welcome") this.on.welcome(line);
    else if (line.type === "snapshot") this.on.snapshot(line);
  }
}
