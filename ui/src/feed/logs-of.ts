// The logs of a play or of a span: what is there, page by page, then what comes, each piece once and in order.

import type { LogPiece } from "../api/records";
import { messageOf } from "../api/error";
import { call } from "../api/rpc";

export interface LogListener {
  /** Further pieces in their order; `done` when all that were there have been told. */
  pieces(pieces: readonly LogPiece[], done: boolean): void;
  failed(message: string): void;
}

const PAGE = 5_000;
/** So many pieces are read of what is there; what comes after is told in any case. */
const MOST = 400_000;

/** What comes while pages are read waits here, so that nothing is told twice, nothing left out. Pure. */
export class LogSeam {
  private last = 0;
  private waiting: LogPiece[] | null = [];

  constructor(private readonly tell: (pieces: readonly LogPiece[], done: boolean) => void) {}

  page(pieces: readonly LogPiece[], final: boolean): void {
    for (const piece of pieces) this.last = Math.max(this.last, piece.seq);
    this.tell(pieces, final);
    if (!final || !this.waiting) return;
    const later = this.waiting.filter((piece) => piece.seq > this.last);
    this.waiting = null;
    if (later.length > 0) this.live(later);
  }

  live(pieces: readonly LogPiece[]): void {
    if (this.waiting) {
      this.waiting.push(...pieces);
      return;
    }
    const fresh = pieces.filter((piece) => piece.seq > this.last);
    if (fresh.length === 0) return;
    this.last = fresh[fresh.length - 1]!.seq;
    this.tell(fresh, true);
  }
}

/** Reads all pages into the seam. Returns how to stop. */
export function readLogs(play_sid: string, span_id: string | null, seam: LogSeam, listener: LogListener): () => void {
  let stopped = false;
  const read = async () => {
    let cursor: string | null = null;
    let told = 0;
    for (;;) {
      const page: { items: LogPiece[]; next_cursor?: string | null } = await call("play_logs", {
        play_sid,
        ...(span_id === null ? {} : { span_id }),
        cursor,
        limit: PAGE,
      });
      if (stopped) return;
      cursor = page.next_cursor ?? null;
      told += page.items.length;
      const final = cursor === null || told >= MOST;
      seam.page(page.items, final);
      if (final) return;
    }
  };
  read().catch((error: unknown) => {
    if (!stopped) listener.failed(messageOf(error));
  });
  return () => {
    stopped = true;
  };
}
