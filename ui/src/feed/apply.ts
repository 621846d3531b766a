// One span record into the store. Pure.

import type { SpanBody } from "../api/records";
import type { SpanStore } from "../model/store";
import { HAS_ERROR, HAS_TAGS, kindNumber, statusNumber } from "../model/words";

/** Adds the span, or brings it up to date. `created` is when its play was created. Returns its ord. */
export function applySpan(store: SpanStore, part: number, span: SpanBody, created: number): number {
  const { offset } = store.parts[part]!;
  const known = store.find(part, span.span_id);
  const end = span.end_ms === null || span.end_ms === undefined ? -1 : span.end_ms - created + offset;
  let ord = known;
  if (known >= 0) {
    const flags = store.flags[known]! | flagsOf(span);
    store.update(known, statusNumber(span.status), end, flags);
  } else {
    ord = store.add(part, {
      id: span.span_id,
      parent: store.find(part, span.parent_id),
      name: span.name,
      kind: kindNumber(span.kind),
      status: statusNumber(span.status),
      start: span.start_ms - created + offset,
      end,
      flags: flagsOf(span),
    });
  }
  if (span.child_play_sid && !store.childPlays.has(ord)) store.setChildPlay(ord, span.child_play_sid);
  return ord;
}

function flagsOf(span: SpanBody): number {
  return (Object.keys(span.tags).length > 0 ? HAS_TAGS : 0) | (span.error ? HAS_ERROR : 0);
}
