// Plays, newest first, each once. Sids sort by creation. Pure.

import type { BriefPlay } from "../api/records";

/** Where a sid is, or would be, in a list that is sorted newest first. */
export function placeOf(list: readonly BriefPlay[], sid: string): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.sid > sid) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts a play in its place, over what was there of it. Whether it is new here. */
export function put(list: BriefPlay[], play: BriefPlay): boolean {
  const at = placeOf(list, play.sid);
  if (list[at]?.sid === play.sid) {
    list[at] = play;
    return false;
  }
  list.splice(at, 0, play);
  return true;
}

export function take(list: BriefPlay[], sid: string): boolean {
  const at = placeOf(list, sid);
  if (list[at]?.sid !== sid) return false;
  list.splice(at, 1);
  return true;
}

/** Without what is long: a list of 100,000 keeps only what it shows. */
export function brief(play: BriefPlay): BriefPlay {
  return {
    sid: play.sid,
    workflow_sid: play.workflow_sid,
    workflow_name: play.workflow_name,
    version_sid: play.version_sid,
    flow_name: play.flow_name ?? null,
    status: play.status,
    cause: play.cause ? { kind: play.cause.kind, message: play.cause.message.slice(0, 500) } : null,
    parent_play_sid: play.parent_play_sid ?? null,
    parent_span_id: play.parent_span_id,
    retry_of: play.retry_of ?? null,
    attempt: play.attempt,
    created_at: play.created_at,
    started_at: play.started_at ?? null,
    completed_at: play.completed_at ?? null,
    duration_ms: play.duration_ms ?? null,
    origin: play.origin ?? null,
    ...(play.waits_for ? { waits_for: play.waits_for } : {}),
  };
}
