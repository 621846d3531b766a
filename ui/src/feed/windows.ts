// The rows of a play that is too large to be held here (beyond some hundred thousand spans): the server computes the windows
// that are seen, with what is folded away summed up. Spans that were seen are in the store, so that whatever shows a span
// finds it there; they are in no order there, and their depth is the server's.

import { messageOf } from "../api/error";
import { call } from "../api/rpc";
import type { Reveal, SpanWindow, WindowRow } from "../api/records";
import {
  ROW_HAS_CHILDREN,
  ROW_HIT,
  ROW_OPEN,
  type RowBuffer,
  type RowSource,
} from "../canvas/row-buffer";
import type { SpanStore } from "../model/store";
import type { Density } from "../model/density";
import type { Window } from "../model/time";
import { isFailure, kindNumber, statusNumber } from "../model/words";

/** Rows that are asked for at once. */
const BLOCK = 100;
const MOST_BLOCKS = 200;
const STALE_EVERY = 700;
const TRIES = 5;
/** After a refusal nothing is asked for so long. */
const QUIET = 2_000;

interface Extra {
  children: number;
  below: number;
  failed: number;
  columns: Uint8Array | null;
  from: number;
  to: number;
}

interface Block {
  ords: Int32Array;
  generation: number;
}

export class WindowRows implements RowSource {
  count = 0;
  seq = 0;
  /** Ids of spans that were searched for and found. */
  hits: ReadonlySet<string> = new Set();
  private blocks = new Map<number, Block>();
  private asking = new Map<number, Promise<void>>();
  private quietUntil = 0;
  private generation = 0;
  private open = new Set<string>();
  private rows = new Map<number, number>();
  private extras = new Map<number, Extra>();
  private staleTimer: ReturnType<typeof setTimeout> | undefined;
  private seen: Window = { from: 0, to: 1 };
  private seenTimer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  private whole: { density: Density; generation: number; columns: number } | null = null;
  private askingWhole = false;

  constructor(
    private readonly sid: string,
    private readonly store: SpanStore,
    private readonly part: number,
    private readonly pixels: () => number,
    private readonly changed: () => void,
    private readonly failed: (message: string) => void,
  ) {}

  /** The first window, with the root open. */
  async start(root: string | null): Promise<void> {
    if (root) this.open.add(root);
    await this.again(0);
    const first = this.ordAt(0);
    if (!root && first >= 0) await this.toggle(first, true);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.staleTimer);
    clearTimeout(this.seenTimer);
  }

  ordAt(row: number): number {
    return this.blocks.get(Math.floor(row / BLOCK))?.ords[row % BLOCK] ?? -1;
  }

  /** All spans of the play. */
  get spans(): number {
    const root = this.ordAt(0);
    return root < 0 ? 0 : (this.extras.get(root)?.below ?? 0) + 1;
  }

  rowOf(ord: number): number {
    return this.rows.get(ord) ?? -1;
  }

  isOpen(ord: number): boolean {
    return this.open.has(this.store.ids[ord] ?? "");
  }

  hasChildren(ord: number): boolean {
    return (this.extras.get(ord)?.children ?? 0) > 0;
  }

  async toggle(ord: number, open = !this.isOpen(ord)): Promise<void> {
    if (!this.hasChildren(ord)) return;
    const id = this.store.ids[ord]!;
    if (open) this.open.add(id);
    else this.open.delete(id);
    await this.again(Math.floor(Math.max(0, this.rowOf(ord)) / BLOCK));
  }

  /** Closes everything but the root. */
  async closeAll(): Promise<void> {
    const root = this.ordAt(0);
    this.open = new Set(root >= 0 ? [this.store.ids[root]!] : []);
    await this.again(0);
  }

  /** The time that is seen: sums of folded rows are made for it. */
  setSeen(window: Window): void {
    if (window.from === this.seen.from && window.to === this.seen.to) return;
    this.seen = { ...window };
    clearTimeout(this.seenTimer);
    this.seenTimer = setTimeout(() => this.stale(), 160);
  }

  /** Something changed: what is seen is asked for again, soon, and shown as it was until then. */
  stale(): void {
    this.staleTimer ??= setTimeout(() => {
      this.staleTimer = undefined;
      this.generation += 1;
      this.changed();
    }, STALE_EVERY / 2);
  }

  /** A block as it is from now on; what is being asked for already may be of before. */
  private async again(block: number): Promise<void> {
    const wanted = (this.generation += 1);
    for (let tries = 0; tries < TRIES && !this.closed; tries++) {
      await this.ask(block);
      if ((this.blocks.get(block)?.generation ?? -1) >= wanted) return;
    }
  }

  fill(first: number, count: number, out: RowBuffer): void {
    const { store } = this;
    const from = Math.max(0, first);
    const n = Math.max(0, Math.min(count, out.size, this.count - from));
    out.first = from;
    out.count = n;
    for (let at = 0; at < n; at++) {
      const row = from + at;
      const number = Math.floor(row / BLOCK);
      const block = this.blocks.get(number);
      if (!block || block.generation !== this.generation) void this.ask(number);
      const ord = block?.ords[row % BLOCK] ?? -1;
      if (ord < 0) {
        blank(out, at, row);
        continue;
      }
      const extra = this.extras.get(ord);
      out.take(at, ord, store);
      out.below[at] = extra?.below ?? 0;
      out.failedBelow[at] = extra?.failed ?? 0;
      const open = this.isOpen(ord);
      out.columns[at] = open ? null : (extra?.columns ?? null);
      out.columnsFrom[at] = extra?.from ?? 0;
      out.columnsTo[at] = extra?.to ?? 0;
      out.flags[at] =
        ((extra?.children ?? 0) > 0 ? ROW_HAS_CHILDREN : 0) | (open ? ROW_OPEN : 0) | (this.hits.has(store.ids[ord]!) ? ROW_HIT : 0);
    }
  }

  /** Asks for a block, unless it is being asked for. */
  private ask(block: number): Promise<void> {
    const known = this.asking.get(block);
    if (known) return known;
    if (this.closed || performance.now() < this.quietUntil) return Promise.resolve();
    const asked = this.askNow(block).finally(() => {
      this.asking.delete(block);
      if (!this.closed) this.changed();
    });
    this.asking.set(block, asked);
    return asked;
  }

  private async askNow(block: number): Promise<void> {
    const { generation, seen } = this;
    const pixels = Math.min(4_000, Math.max(50, Math.round(this.pixels())));
    try {
      const found = await this.window(block * BLOCK, BLOCK, seen, pixels, [...this.open]);
      // What is no longer asked for is better than nothing: it is asked for again where it is seen.
      if (!this.closed && (generation === this.generation || !this.blocks.has(block))) this.take(block, found, generation, seen);
    } catch (error) {
      if (this.closed) return;
      this.quietUntil = performance.now() + QUIET;
      setTimeout(() => this.changed(), QUIET);
      this.failed(messageOf(error));
    }
  }

  private window(first_row: number, rows: number, seen: Window, pixels: number, open: string[]): Promise<SpanWindow> {
    return call("play_window", { play_sid: this.sid, open, first_row, rows, from_ms: seen.from, to_ms: seen.to, pixels });
  }

  /** Unfolds what is above a span, wherever it is. Its ord; -1 where there is no such span. */
  async reveal(span: Reveal): Promise<number> {
    const { from, to } = this.seen;
    const found = await call("play_window", {
      play_sid: this.sid,
      open: [...this.open],
      first_row: 0,
      rows: 1,
      from_ms: from,
      to_ms: to,
      pixels: 1,
      reveal: span,
    });
    if (!found.revealed || this.closed) return -1;
    for (const id of found.revealed.open) this.open.add(id);
    this.count = found.total_rows;
    await this.again(Math.floor(found.revealed.row / BLOCK));
    return this.ordAt(found.revealed.row);
  }

  /** How much goes on over the whole time, from the sums of the folded root; what was there until it is here. */
  density(columns: number, whole: number): Density {
    const known = this.whole;
    if ((!known || known.generation !== this.generation || known.columns !== columns) && !this.askingWhole && !this.closed) {
      this.askingWhole = true;
      const { generation } = this;
      void this.window(0, 1, { from: 0, to: whole }, Math.min(4_000, columns), [])
        .then(
          (found) => {
            const buckets = found.rows[0]?.buckets ?? [];
            this.whole = {
              density: {
                open: Float32Array.from(buckets, (bucket) => bucket.coverage),
                failed: Uint8Array.from(buckets, (bucket) => (bucket.status && isFailure(statusNumber(bucket.status)) ? 1 : 0)),
                most: 1,
              },
              generation,
              columns,
            };
            this.changed();
          },
          () => {},
        )
        .finally(() => (this.askingWhole = false));
    }
    return known?.density ?? NOTHING;
  }

  private take(block: number, found: SpanWindow, generation: number, seen: Window): void {
    this.count = found.total_rows;
    this.seq = Math.max(this.seq, found.seq);
    const ords = new Int32Array(BLOCK).fill(-1);
    found.rows.forEach((row, at) => {
      const ord = this.put(row, seen);
      ords[at] = ord;
      this.rows.set(ord, block * BLOCK + at);
    });
    this.blocks.set(block, { ords, generation });
    if (this.blocks.size > MOST_BLOCKS) this.blocks.delete(this.blocks.keys().next().value as number);
  }

  private put(row: WindowRow, seen: Window): number {
    const { store, part } = this;
    const status = statusNumber(row.status);
    const end = row.end < 0 ? -1 : row.end;
    let ord = store.find(part, row.span_id);
    if (ord < 0) {
      ord = store.add(part, {
        id: row.span_id,
        parent: -1,
        name: row.name,
        kind: kindNumber(row.kind),
        status,
        start: row.start,
        end,
        flags: row.flags,
      });
    } else store.update(ord, status, end, row.flags);
    store.depth[ord] = row.depth;
    const columns = row.buckets ? Uint8Array.from(row.buckets, (bucket) => (bucket.status ? statusNumber(bucket.status) + 1 : 0)) : null;
    this.extras.set(ord, { children: row.children, below: row.descendants, failed: row.failed, columns, from: seen.from, to: seen.to });
    return ord;
  }
}

const NOTHING: Density = { open: new Float32Array(1), failed: new Uint8Array(1), most: 1 };

function blank(out: RowBuffer, at: number, row: number): void {
  out.ord[at] = -2 - row;
  out.depth[at] = 0;
  out.start[at] = 0;
  out.end[at] = 0;
  out.status[at] = 1;
  out.kind[at] = 4;
  out.flags[at] = 0;
  out.below[at] = 0;
  out.failedBelow[at] = 0;
  out.names[at] = "…";
  out.columns[at] = null;
}
