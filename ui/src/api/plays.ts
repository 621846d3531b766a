// Lists of plays, starting them, and news of them.

import { brief } from "../model/play-list";
import type { BriefPlay, PlayListParams } from "./records";
import type { Json, Play, Workflow } from "./generated";
import { call } from "./rpc";
import type { ServerEvent } from "./sse-parser";
import { openStream, type Stream } from "./stream";

export interface PlayPage {
  items: BriefPlay[];
  next_cursor: string | null;
}

/** A page of plays without what is long, newest first. */
export async function listPlays(params: PlayListParams, signal?: AbortSignal): Promise<PlayPage> {
  const page = await call("play_list", { ...params, brief: true }, signal);
  return { items: page.items as BriefPlay[], next_cursor: page.next_cursor ?? null };
}

/** Starts a play of the current version; who looks at it later sees that the page started it. */
export function startPlay(workflow_sid: string, input_data: { [key: string]: Json }): Promise<Play> {
  return call("play_start", { workflow_sid, input_data: JSON.stringify(input_data), origin: "page" });
}

export interface PlayNews {
  plays?(plays: BriefPlay[]): void;
  /** Something in the library changed. */
  workflow?(workflow: Workflow & { deleted?: boolean }): void;
  /** What was read before may lack something: read it anew. Told once when the stream begins, too. */
  anew?(): void;
}

const listeners = new Set<PlayNews>();
let stream: Stream | undefined;
let last = "";

/** Tells of each play and workflow that comes or changes, from now on. All who listen share one stream. */
export function watchPlays(news: PlayNews): () => void {
  listeners.add(news);
  if (!stream) {
    last = "";
    stream = openStream("/api/plays", { event: take });
  }
  return () => {
    listeners.delete(news);
    if (listeners.size > 0) return;
    stream?.close();
    stream = undefined;
  };
}

function take(event: ServerEvent): void {
  switch (event.type) {
    case "hello":
      // From another place than after what was told last: what came between is not known.
      if (event.id !== last) for (const one of [...listeners]) one.anew?.();
      break;
    case "play": {
      const plays = [brief(JSON.parse(event.data) as BriefPlay)];
      for (const one of [...listeners]) one.plays?.(plays);
      break;
    }
    case "workflow": {
      const workflow = JSON.parse(event.data) as Workflow & { deleted?: boolean };
      for (const one of [...listeners]) one.workflow?.(workflow);
      break;
    }
  }
  if (event.id) last = event.id;
}
