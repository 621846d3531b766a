// Two plays of a flow, span by span: those at the same path (names from the root, and which one of its name) belong
// together. Pure.

import type { SpanStore } from "./store";

export interface Pair {
  name: string;
  depth: number;
  /** Ords; -1 where it is only in the other one. */
  a: number;
  b: number;
  /** Pairs that are below it, directly and not. */
  below: number;
  children: number;
}

/** Pairs in depth-first order; children in the order of `a`, with what only `b` has where it was there. */
export function alignedPairs(a: SpanStore, b: SpanStore): Pair[] {
  const pairs: Pair[] = [];
  visit(a.firstRoot, b.firstRoot, 0);
  return pairs;

  function visit(firstA: number, firstB: number, depth: number): number {
    const left = siblings(a, firstA);
    const right = siblings(b, firstB);
    const places = new Map(right.map((one, at) => [one.key, at]));
    const known = new Set(left.map((one) => one.key));
    let nextRight = 0;
    let made = 0;
    for (const one of left) {
      const at = places.get(one.key);
      if (at !== undefined) {
        for (; nextRight < at; nextRight++) {
          const only = right[nextRight]!;
          if (!known.has(only.key)) made += pair(-1, only.ord, depth);
        }
        nextRight = Math.max(nextRight, at + 1);
        made += pair(one.ord, right[at]!.ord, depth);
      } else made += pair(one.ord, -1, depth);
    }
    for (; nextRight < right.length; nextRight++) {
      if (!known.has(right[nextRight]!.key)) made += pair(-1, right[nextRight]!.ord, depth);
    }
    return made;
  }

  function pair(ordA: number, ordB: number, depth: number): number {
    const made: Pair = {
      name: ordA >= 0 ? a.nameOf(ordA) : b.nameOf(ordB),
      depth,
      a: ordA,
      b: ordB,
      below: 0,
      children: 0,
    };
    pairs.push(made);
    made.below = visit(ordA >= 0 ? a.firstChild[ordA]! : -1, ordB >= 0 ? b.firstChild[ordB]! : -1, depth + 1);
    return made.below + 1;
  }
}

function siblings(store: SpanStore, first: number): { ord: number; key: string }[] {
  const found: { ord: number; key: string }[] = [];
  const seen = new Map<number, number>();
  for (let ord = first; ord >= 0; ord = store.nextSibling[ord]!) {
    const name = store.name[ord]!;
    const nth = seen.get(name) ?? 0;
    seen.set(name, nth + 1);
    found.push({ ord, key: `${nth} ${store.names[name]!}` });
  }
  return found;
}

export function lengthOf(store: SpanStore, ord: number, now: number): number {
  const end = store.end[ord]!;
  return (end < 0 ? now : end) - store.start[ord]!;
}
