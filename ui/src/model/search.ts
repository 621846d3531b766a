// Search over what is in the browser: names. Tags, errors and logs are asked of the source of the spans. Pure.

import type { SpanStore } from "./store";

/** Ords whose name contains the text, in start order. */
export function findByName(store: SpanStore, query: string): Int32Array {
  const wanted = query.toLowerCase();
  if (wanted === "") return new Int32Array(0);
  const hit = new Uint8Array(store.names.length);
  for (let name = 0; name < store.names.length; name++) {
    if (store.names[name]!.toLowerCase().includes(wanted)) hit[name] = 1;
  }
  const found: number[] = [];
  for (let ord = 0; ord < store.count; ord++) if (hit[store.name[ord]!] === 1) found.push(ord);
  return Int32Array.from(found);
}

/** Both, in order, each once. */
export function merged(a: Int32Array, b: Int32Array): Int32Array {
  const all = new Set<number>(a);
  for (const ord of b) all.add(ord);
  return Int32Array.from(all).sort();
}

/** The next one after `from` (before it, if `step` is -1), around the end. -1 where there is none. */
export function neighbour(found: Int32Array, from: number, step: 1 | -1): number {
  if (found.length === 0) return -1;
  if (step === 1) {
    for (const ord of found) if (ord > from) return ord;
    return found[0]!;
  }
  for (let at = found.length - 1; at >= 0; at--) if (found[at]! < from) return found[at]!;
  return found[found.length - 1]!;
}
