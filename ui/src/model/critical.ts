// The critical path: from the end of the play backwards, always into whatever ended last, as far as that had started. What of
// a span is on the path and in none of its children is its own. Pure.

import type { SpanStore } from "./store";

export interface CriticalPath {
  /** Ord to 1. */
  on: Uint8Array;
  /** Pieces of one span each, latest first: `ord`, `from`, `to`. */
  ord: Int32Array;
  from: Float64Array;
  to: Float64Array;
  count: number;
}

/** Two times that differ by less than this are the same: clocks of two processes, and rounding. */
const SAME = 0.002;

export function criticalPath(store: SpanStore, root: number, now: number): CriticalPath {
  const on = new Uint8Array(store.count);
  const ords: number[] = [];
  const froms: number[] = [];
  const tos: number[] = [];
  const endOf = (ord: number) => (store.end[ord]! < 0 ? now : store.end[ord]!);
  const piece = (ord: number, from: number, to: number) => {
    if (to - from <= 0) return;
    ords.push(ord);
    froms.push(from);
    tos.push(to);
  };

  // A stack of spans that are being walked through, each with its children by end and the time that is left of it.
  interface Frame {
    ord: number;
    children: number[];
    at: number;
    until: number;
  }
  const frame = (ord: number, until: number): Frame => {
    const children: number[] = [];
    for (let child = store.firstChild[ord]!; child >= 0; child = store.nextSibling[child]!) children.push(child);
    children.sort((a, b) => endOf(b) - endOf(a));
    on[ord] = 1;
    return { ord, children, at: 0, until };
  };
  if (root < 0 || root >= store.count) return pack();
  const stack: Frame[] = [frame(root, endOf(root))];
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const begin = store.start[top.ord]!;
    let next = -1;
    while (top.at < top.children.length) {
      const child = top.children[top.at]!;
      top.at += 1;
      // One that was still running at this point was not waited for, unless it is cut by its parent's end.
      if (endOf(child) <= top.until + SAME || (top.at === 1 && store.start[child]! < top.until)) {
        if (store.start[child]! < top.until) {
          next = child;
          break;
        }
      }
    }
    if (next < 0) {
      piece(top.ord, begin, top.until);
      stack.pop();
      const above = stack[stack.length - 1];
      if (above) above.until = Math.min(above.until, Math.max(begin, store.start[above.ord]!));
      continue;
    }
    const end = Math.min(endOf(next), top.until);
    piece(top.ord, end, top.until);
    top.until = end;
    stack.push(frame(next, end));
  }
  return pack();

  function pack(): CriticalPath {
    return {
      on,
      ord: Int32Array.from(ords),
      from: Float64Array.from(froms),
      to: Float64Array.from(tos),
      count: ords.length,
    };
  }
}

/** Which names the time of the path went to, the longest first. */
export function criticalShares(store: SpanStore, path: CriticalPath): { ord: number; name: string; ms: number }[] {
  const sums = new Map<number, { ord: number; ms: number }>();
  for (let at = 0; at < path.count; at++) {
    const ord = path.ord[at]!;
    const name = store.name[ord]!;
    const ms = path.to[at]! - path.from[at]!;
    const sum = sums.get(name);
    if (sum) sum.ms += ms;
    else sums.set(name, { ord, ms });
  }
  return [...sums.entries()]
    .map(([name, sum]) => ({ ord: sum.ord, name: store.names[name]!, ms: sum.ms }))
    .sort((a, b) => b.ms - a.ms);
}
