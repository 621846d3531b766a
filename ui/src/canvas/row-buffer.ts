// The rows that are in view, as the painter and the tree read them. It is filled for each picture and allocates nothing.

import type { SpanStore } from "../model/store";

export const ROW_OPEN = 1;
export const ROW_HAS_CHILDREN = 2;
export const ROW_CHILD_PLAY = 4;
export const ROW_HIT = 8;
export const ROW_ON_PATH = 16;
/** Of an attempt before the last one: what is shown was done then. */
export const ROW_EARLIER = 32;
export const ROW_HAS_LOGS = 64;

export class RowBuffer {
  first = 0;
  count = 0;
  readonly ord: Int32Array;
  readonly depth: Uint16Array;
  readonly start: Float64Array;
  /** -1 while it runs. */
  readonly end: Float64Array;
  readonly status: Uint8Array;
  readonly kind: Uint8Array;
  readonly flags: Uint8Array;
  readonly below: Int32Array;
  readonly failedBelow: Int32Array;
  readonly names: string[];
  /** Of a folded row: the worst status below it in each column, plus one; 0 where there is nothing. Null: the bar is all. */
  readonly columns: (Uint8Array | null)[];
  /** The shown time that the columns are for. */
  readonly columnsFrom: Float64Array;
  readonly columnsTo: Float64Array;

  constructor(readonly size: number) {
    this.ord = new Int32Array(size);
    this.depth = new Uint16Array(size);
    this.start = new Float64Array(size);
    this.end = new Float64Array(size);
    this.status = new Uint8Array(size);
    this.kind = new Uint8Array(size);
    this.flags = new Uint8Array(size);
    this.below = new Int32Array(size);
    this.failedBelow = new Int32Array(size);
    this.columnsFrom = new Float64Array(size);
    this.columnsTo = new Float64Array(size);
    this.names = new Array<string>(size).fill("");
    this.columns = new Array<Uint8Array | null>(size).fill(null);
  }

  /** What a span itself says of its row. */
  take(at: number, ord: number, store: SpanStore): void {
    this.ord[at] = ord;
    this.depth[at] = store.depth[ord]!;
    this.start[at] = store.start[ord]!;
    this.end[at] = store.end[ord]!;
    this.status[at] = store.status[ord]!;
    this.kind[at] = store.kind[ord]!;
    this.names[at] = store.nameOf(ord);
  }
}

/** Where rows come from: the spans in this browser, or windows of them that the server computes. */
export interface RowSource {
  readonly count: number;
  fill(first: number, count: number, out: RowBuffer): void;
}
