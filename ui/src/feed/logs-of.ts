// The logs of a play: kept here where the server sent them all with the snapshot, else read page by page.

import type { LogPiece, Match, SpanBody } from "../api/coming";
import { messageOf } from "../api/error";
import { optional } from "../api/rpc";

export interface LogListener {
  /** Further pieces in their order; `done` when all that were there have been told. */
  pieces(pieces: readonly LogPiece[], done: boolean): void;
  failed(message: string): void;
}

export class LogKeeper {
  private all: LogPiece[] = [];
  private bySpan = new Map<string, LogPiece[]>();

  add(piece: LogPiece): void {
    this.all.push(piece);
    const known = this.bySpan.get(piece.span_id);
    if (known) known.push(piece);
    else this.bySpan.set(piece.span_id, [piece]);
  }

  clear(): void {
    this.all = [];
    this.bySpan.clear();
  }

  of(span: string | null): readonly LogPiece[] {
    return span === null ? this.all : (this.bySpan.get(span) ?? []);
  }
}

export function findInBodies(bodies: Map<string, SpanBody>, keeper: LogKeeper, query: string): Match[] {
  const wanted = query.toLowerCase();
  const found: Match[] = [];
  const has = (text: string) => text.toLowerCase().includes(wanted);
  for (const span of bodies.values()) {
    if (span.error && has(span.error)) found.push({ span_id: span.span_id, in: "error" });
    else if (Object.keys(span.tags).length > 0 && has(JSON.stringify(span.tags))) {
      found.push({ span_id: span.span_id, in: "tag" });
    } else if (keeper.of(span.span_id).some((piece) => has(piece.text))) {
      found.push({ span_id: span.span_id, in: "log" });
    }
  }
  return found;
}

/** A page of `play_logs`, and how many pieces are read of one play: what comes after is told at the end. */
const PAGE = 5_000;
const MOST = 400_000;

export function pagedLogs(play: string, span: string | null, listener: LogListener, thenLive: () => void): () => void {
  let stopped = false;
  const read = async () => {
    let cursor: string | null = null;
    let told = 0;
    // What comes while the pages are read must not be missed, and is told after them by the last page itself.
    do {
      const page: Awaited<ReturnType<typeof optional<"play_logs">>> = await optional("play_logs", {
        play_sid: play,
        ...(span === null ? {} : { span_id: span }),
        cursor,
        limit: PAGE,
      });
      if (stopped) return;
      cursor = page?.next_cursor ?? null;
      told += page?.items.length ?? 0;
      if (cursor === null || told >= MOST) thenLive();
      listener.pieces(page?.items ?? [], cursor === null);
    } while (cursor !== null && told < MOST);
  };
  read().catch((error: unknown) => {
    if (!stopped) listener.failed(messageOf(error));
  });
  return () => {
    stopped = true;
  };
}
