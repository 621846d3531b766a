// Lists of plays, and news of them. A newer server filters, abbreviates and streams; with an older one the page asks again
// and again, and filters itself.

import { brief } from "../model/play-list";
import type { BriefPlay, PlayListParams } from "./coming";
import { connection } from "./connection.svelte";
import { CallError } from "./error";
import type { Json, Play } from "./generated";
import { call, callEach } from "./rpc";
import { openStream } from "./stream";

let filters = true;
let originKnown = true;
connection.onFound(() => {
  filters = true;
  originKnown = true;
});

export interface PlayPage {
  items: BriefPlay[];
  next_cursor: string | null;
  /** The items are not filtered by all that was asked: the server is too old for it. */
  unfiltered: boolean;
}

export async function listPlays(params: PlayListParams, signal?: AbortSignal): Promise<PlayPage> {
  if (filters) {
    try {
      const page = await call("play_list", params as never, signal);
      return { items: page.items as BriefPlay[], next_cursor: page.next_cursor ?? null, unfiltered: false };
    } catch (error) {
      if (!(error instanceof CallError && error.kind === "invalid_params")) throw error;
      filters = false;
    }
  }
  const { statuses, workflow_sid, parent_play_sid, created_from, created_before, cursor, limit } = params;
  const page = await call(
    "play_list",
    {
      ...(statuses?.length === 1 ? { status: statuses[0]! } : {}),
      ...(workflow_sid ? { workflow_sid } : {}),
      ...(parent_play_sid ? { parent_play_sid } : {}),
      ...(created_from ? { created_from } : {}),
      ...(created_before ? { created_before } : {}),
      ...(cursor ? { cursor } : {}),
      ...(limit ? { limit } : {}),
    },
    signal,
  );
  return { items: page.items.map(brief), next_cursor: page.next_cursor ?? null, unfiltered: true };
}

/** Starts a play of the current version; who looks at it later sees that the page started it. */
export async function startPlay(workflow_sid: string, input_data: { [key: string]: Json }): Promise<Play> {
  if (originKnown) {
    try {
      return await call("play_start", { workflow_sid, input_data, origin: "page" } as never);
    } catch (error) {
      // An older server knows no origin, and started nothing.
      if (!(error instanceof CallError && error.kind === "invalid_params")) throw error;
      originKnown = false;
    }
  }
  return call("play_start", { workflow_sid, input_data });
}

export interface PlayNews {
  plays(plays: BriefPlay[]): void;
  /** Something in the library changed. */
  workflow?(): void;
}

const POLL = 2_000;
const POLLED = 100;

/** Tells of each play that comes or changes, from now on. `active` names those whose end is waited for. */
export function watchPlays(news: PlayNews, active: () => string[]): () => void {
  let stopPolling: (() => void) | undefined;
  const stream = openStream("/api/plays", {
    event(event) {
      if (event.type === "play") news.plays([brief(JSON.parse(event.data) as BriefPlay)]);
      else if (event.type === "workflow") news.workflow?.();
    },
    refused() {
      stopPolling = poll(news, active);
    },
  });
  return () => {
    stream.close();
    stopPolling?.();
  };
}

function poll(news: PlayNews, active: () => string[]): () => void {
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ask = async () => {
    if (!document.hidden) {
      try {
        const page = await call("play_list", { limit: POLLED });
        if (stopped) return;
        const seen = new Set(page.items.map((play) => play.sid));
        news.plays(page.items.map(brief));
        const others = active().filter((sid) => !seen.has(sid));
        if (others.length > 0) {
          const found = await callEach("play_get", others.slice(0, 200).map((play_sid) => ({ play_sid })));
          if (stopped) return;
          news.plays(found.filter((one) => !(one instanceof CallError)).map((one) => brief(one as BriefPlay)));
        }
      } catch {
        // The shell tells that the connection is lost; it is asked again.
      }
    }
    if (!stopped) timer = setTimeout(() => void ask(), POLL);
  };
  void ask();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
