// How much goes on at each moment of a play, for the small picture of the whole above the waterfall. Pure.

import type { SpanStore } from "./store";
import type { TimeMap } from "./time";
import { isFailure } from "./words";

export interface Density {
  /** Spans open in each column. */
  open: Float32Array;
  /** 1 where a failed span ended. */
  failed: Uint8Array;
  most: number;
}

export function density(store: SpanStore, map: TimeMap, whole: number, now: number, columns: number): Density {
  const change = new Float32Array(columns + 1);
  const failed = new Uint8Array(columns);
  const scale = whole > 0 ? columns / whole : 0;
  const straight = map.gaps.length === 0;
  for (let ord = 0; ord < store.count; ord++) {
    const start = store.start[ord]!;
    const end = store.end[ord]! < 0 ? now : store.end[ord]!;
    const from = column((straight ? start : map.toShown(start)) * scale, columns);
    const to = column((straight ? end : map.toShown(end)) * scale, columns);
    change[from] = change[from]! + 1;
    change[to + 1] = change[to + 1]! - 1;
    if (isFailure(store.status[ord]!)) failed[to] = 1;
  }
  let open = 0;
  let most = 0;
  for (let at = 0; at < columns; at++) {
    open += change[at]!;
    change[at] = open;
    if (open > most) most = open;
  }
  return { open: change.subarray(0, columns), failed, most };
}

function column(value: number, columns: number): number {
  const at = Math.floor(value);
  return at < 0 ? 0 : at >= columns ? columns - 1 : at;
}
