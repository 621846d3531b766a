// The columnar outline of a play's spans into the store. Pure.

import type { Outline } from "../api/records";
import type { SpanStore } from "../model/store";

/** Adds all spans of an outline; `part` is new and empty. */
export function addOutline(store: SpanStore, part: number, outline: Outline): void {
  const first = store.count;
  const { offset } = store.parts[part]!;
  const { ids, parent, name, names, kind, status, start, end, flags } = outline;
  store.addMany(part, outline.count, (at, into) => {
    into.id = ids[at]!;
    into.parent = parent[at]! < 0 ? -1 : first + parent[at]!;
    into.name = names[name[at]!]!;
    into.kind = kind[at]!;
    into.status = status[at]!;
    into.start = start[at]! + offset;
    into.end = end[at]! < 0 ? -1 : end[at]! + offset;
    into.flags = flags[at]!;
  });
  for (const [ord, sid] of Object.entries(outline.child_plays)) store.setChildPlay(first + Number(ord), sid);
}
