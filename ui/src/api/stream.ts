// A Server-Sent-Events stream over fetch, since EventSource can send no token. It goes on from the last id after every
// loss, with growing pauses, and notices a connection that is dead without saying so. While the tab is hidden it
// lets go of its connection (a browser grants six to a server) and catches up when it is seen again.

import { auth } from "./auth.svelte";
import { connection } from "./connection.svelte";
import { type CallError, fromBody } from "./error";
import { EventStreamParser, type ServerEvent } from "./sse-parser";

const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 10_000;
/** The server sends at least a comment every 15 s. */
const SILENCE = 40_000;
/** A look at another tab is no reason to begin anew, ms. */
const HIDDEN_FOR = 2_000;

export interface StreamHandlers {
  event(event: ServerEvent): void;
  /** The stream will not come back: there is no such thing, or it is refused. */
  refused?(error: CallError): void;
}

export interface Stream {
  close(): void;
}

export function openStream(path: string, handlers: StreamHandlers, resumeAfter = ""): Stream {
  let lastId = resumeAfter;
  let closed = false;
  let current: AbortController | undefined;
  let pause = FIRST_PAUSE;
  let wake: (() => void) | undefined;
  let opening = false;
  let hiddenTimer: ReturnType<typeof setTimeout> | undefined;

  async function read(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
    const parser = new EventStreamParser((event) => {
      if (closed) return;
      if (event.id) lastId = event.id;
      pause = FIRST_PAUSE;
      handlers.event(event);
    });
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let silence: ReturnType<typeof setTimeout> | undefined;
    try {
      for (;;) {
        silence = setTimeout(() => abort.abort(), SILENCE);
        const { done, value } = await reader.read();
        clearTimeout(silence);
        if (done) return;
        parser.push(decoder.decode(value, { stream: true }));
      }
    } finally {
      clearTimeout(silence);
    }
  }

  /** Whether to try again. */
  async function once(): Promise<boolean> {
    const tried = auth.token;
    const abort = new AbortController();
    current = abort;
    const headers: Record<string, string> = { Accept: "text/event-stream", ...auth.headers() };
    if (lastId) headers["Last-Event-ID"] = lastId;
    try {
      const answer = await fetch(path, { headers, signal: abort.signal, cache: "no-store" });
      if (answer.status === 401) {
        await auth.tokenAfterRefusal(tried);
        return true;
      }
      if (answer.status === 400 && lastId) {
        lastId = "";
        return true;
      }
      if (answer.status >= 400 && answer.status < 500) {
        handlers.refused?.(fromBody(answer.status, await answer.text()));
        return false;
      }
      if (!answer.ok || !answer.body) throw new Error(`HTTP status ${answer.status}`);
      opening = true;
      connection.reached();
      opening = false;
      await read(answer.body, abort);
    } catch {
      if (!closed && !abort.signal.aborted) connection.failed();
    }
    return true;
  }

  async function run(): Promise<void> {
    while (!closed) {
      if (document.hidden) await seenAgain();
      if (closed) return;
      if (!(await once())) return;
      if (closed) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause * (0.75 + Math.random() / 2));
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wake = undefined;
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  function seenAgain(): Promise<void> {
    return new Promise((resolve) => {
      wake = resolve;
    });
  }

  function visibility(): void {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(() => current?.abort(), HIDDEN_FOR);
    else wake?.();
  }

  // A connection that died without a word is found dead by the others first.
  const stopListening = connection.onFound(() => {
    if (!opening) current?.abort();
    wake?.();
  });
  document.addEventListener("visibilitychange", visibility);
  void run();

  return {
    close() {
      closed = true;
      clearTimeout(hiddenTimer);
      stopListening();
      document.removeEventListener("visibilitychange", visibility);
      current?.abort();
      wake?.();
    },
  };
}
