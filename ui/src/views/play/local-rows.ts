// The rows of spans that are in this browser, for the painter and the tree.

import {
  ROW_CHILD_PLAY,
  ROW_EARLIER,
  ROW_HAS_CHILDREN,
  ROW_HAS_LOGS,
  ROW_HIT,
  ROW_ON_PATH,
  ROW_OPEN,
  type RowBuffer,
  type RowSource,
} from "../../canvas/row-buffer";
import type { CriticalPath } from "../../model/critical";
import type { Below, Rows } from "../../model/rows";
import type { SpanStore } from "../../model/store";
import { HAS_LOGS } from "../../model/words";

export class LocalRows implements RowSource {
  path: CriticalPath | null = null;
  /** Ord to 1 where the search found it. */
  hits = new Uint8Array(0);

  constructor(
    private readonly store: SpanStore,
    private readonly rows: Rows,
    private readonly below: Below,
  ) {}

  get count(): number {
    return this.rows.count;
  }

  fill(first: number, count: number, out: RowBuffer): void {
    const { store, rows, below } = this;
    const from = Math.max(0, first);
    const n = Math.max(0, Math.min(count, out.size, rows.count - from));
    out.first = from;
    out.count = n;
    for (let at = 0; at < n; at++) {
      const ord = rows.order[from + at]!;
      out.take(at, ord, store);
      out.below[at] = below.spans[ord] ?? 0;
      out.failedBelow[at] = below.failed[ord] ?? 0;
      out.columns[at] = null;
      out.flags[at] = this.flagsOf(ord);
    }
  }

  private flagsOf(ord: number): number {
    const { store, rows } = this;
    let flags = 0;
    const children = store.firstChild[ord]! >= 0;
    const childPlay = store.childPlays.has(ord);
    if (children || childPlay) flags |= ROW_HAS_CHILDREN;
    if (children && rows.open[ord] === 1) flags |= ROW_OPEN;
    if (childPlay) flags |= ROW_CHILD_PLAY;
    if (this.hits[ord] === 1) flags |= ROW_HIT;
    if (this.path?.on[ord] === 1) flags |= ROW_ON_PATH;
    const part = store.parts[store.part[ord]!]!;
    if (store.attempt[ord]! > 0 && store.attempt[ord]! < part.attempts) flags |= ROW_EARLIER;
    if (store.flags[ord]! & HAS_LOGS) flags |= ROW_HAS_LOGS;
    return flags;
  }
}
