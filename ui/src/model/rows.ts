// Which spans are rows: the tree in depth-first order without what is folded away, and what is below each span. Pure.

import type { SpanStore } from "./store";
import { isFailure, REPLAYED, RUNNING } from "./words";

/** Spans that can be rows of one view at first; more are folded. */
const FIRST_ROWS = 5_000;

export class Rows {
  /** Row to ord; the first `count` entries. */
  order = new Int32Array(0);
  count = 0;
  /** Ord to row, -1 where it is folded away. */
  rowOf = new Int32Array(0);
  /** Ord to 1 where its children are shown. */
  open = new Uint8Array(0);
  private openUpTo = 0;
  /** Whether spans that come are open. */
  private opensNew = true;

  /** Opens as many levels as make no more than some thousand rows, and the way to each of `shown`. */
  openFirst(store: SpanStore, shown: Iterable<number> = []): void {
    const levels: number[] = [];
    for (let ord = 0; ord < store.count; ord++) {
      const depth = store.depth[ord]!;
      levels[depth] = (levels[depth] ?? 0) + 1;
    }
    let deepest = 1;
    let rows = (levels[0] ?? 0) + (levels[1] ?? 0);
    while (deepest + 1 < levels.length && rows + levels[deepest + 1]! <= FIRST_ROWS) {
      deepest += 1;
      rows += levels[deepest]!;
    }
    this.fit(store);
    this.opensNew = deepest + 1 >= levels.length;
    for (let ord = 0; ord < store.count; ord++) this.open[ord] = store.depth[ord]! < deepest ? 1 : 0;
    this.openUpTo = store.count;
    for (const ord of shown) this.reveal(store, ord);
  }

  private fit(store: SpanStore): void {
    const size = store.parent.length;
    if (this.open.length < size) {
      const open = new Uint8Array(size);
      open.set(this.open);
      this.open = open;
      this.order = new Int32Array(size);
      this.rowOf = new Int32Array(size);
    }
    if (this.openUpTo < store.count) {
      this.open.fill(this.opensNew ? 1 : 0, this.openUpTo, store.count);
      this.openUpTo = store.count;
    }
  }

  build(store: SpanStore): void {
    this.fit(store);
    const { order, rowOf, open } = this;
    const { firstChild, nextSibling, parent } = store;
    rowOf.fill(-1, 0, store.count);
    let count = 0;
    let at = store.firstRoot;
    while (at >= 0) {
      order[count] = at;
      rowOf[at] = count;
      count += 1;
      const child = firstChild[at]!;
      if (child >= 0 && open[at] === 1) {
        at = child;
        continue;
      }
      while (at >= 0 && nextSibling[at]! < 0) at = parent[at]!;
      if (at >= 0) at = nextSibling[at]!;
    }
    this.count = count;
  }

  /** Opens everything around a span; whether something changed. */
  reveal(store: SpanStore, ord: number): boolean {
    let changed = false;
    for (let at = store.parent[ord]!; at >= 0; at = store.parent[at]!) {
      if (this.open[at] === 0) {
        this.open[at] = 1;
        changed = true;
      }
    }
    return changed;
  }

  setOpen(ord: number, open: boolean): void {
    this.open[ord] = open ? 1 : 0;
  }

  setAll(store: SpanStore, open: boolean, fromDepth = 0): void {
    this.fit(store);
    this.opensNew = open;
    for (let ord = 0; ord < store.count; ord++) {
      if (store.depth[ord]! >= fromDepth) this.open[ord] = open ? 1 : 0;
    }
  }

  /** Opens or closes a span and all that is below it. */
  setBelow(store: SpanStore, root: number, open: boolean): void {
    for (let ord = root; ord < store.count; ord++) {
      let at = ord;
      while (at > root) at = store.parent[at]!;
      if (at === root) this.open[ord] = open ? 1 : 0;
    }
  }
}

/** Sums over what is below each span. */
export class Below {
  spans = new Int32Array(0);
  failed = new Int32Array(0);
  running = new Int32Array(0);

  count(store: SpanStore): void {
    const size = store.parent.length;
    if (this.spans.length !== size) {
      this.spans = new Int32Array(size);
      this.failed = new Int32Array(size);
      this.running = new Int32Array(size);
    } else {
      this.spans.fill(0);
      this.failed.fill(0);
      this.running.fill(0);
    }
    const { spans, failed, running } = this;
    for (let ord = store.count - 1; ord > 0; ord--) {
      const parent = store.parent[ord]!;
      if (parent < 0) continue;
      const status = store.status[ord]!;
      spans[parent] = spans[parent]! + spans[ord]! + 1;
      failed[parent] = failed[parent]! + failed[ord]! + (isFailure(status) ? 1 : 0);
      running[parent] = running[parent]! + running[ord]! + (status === RUNNING ? 1 : 0);
    }
  }
}

/** Spans that failed while nothing below them did: where failures began, in start order. */
export function failureOrigins(store: SpanStore, below: Below): Int32Array {
  const found: number[] = [];
  for (let ord = 0; ord < store.count; ord++) {
    if (isFailure(store.status[ord]!) && below.failed[ord] === 0) found.push(ord);
  }
  return Int32Array.from(found);
}

/** When each attempt of the play after the first one began, in order; -1 where none of its spans is there. */
export function attemptStarts(store: SpanStore): number[] {
  const attempts = store.parts[0]?.attempts ?? 1;
  if (attempts < 2) return [];
  const starts = new Array<number>(attempts + 1).fill(Infinity);
  for (let ord = 0; ord < store.count; ord++) {
    if (store.part[ord] !== 0 || store.status[ord] === REPLAYED) continue;
    const attempt = store.attempt[ord]!;
    if (attempt > 1) starts[attempt] = Math.min(starts[attempt]!, store.start[ord]!);
  }
  return starts.slice(2).map((start) => (Number.isFinite(start) ? start : -1));
}

/** The newest spans that run and have nothing that runs below them. */
export function newestRunning(store: SpanStore, below: Below, most: number): number[] {
  const found: number[] = [];
  for (let ord = store.count - 1; ord >= 0 && found.length < most; ord--) {
    if (store.status[ord] === RUNNING && below.running[ord] === 0) found.push(ord);
  }
  return found;
}
