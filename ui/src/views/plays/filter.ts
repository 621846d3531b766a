// What of the plays is listed: as it is in the address, as the server is asked, and as a play that comes is judged. Pure.

import type { BriefPlay, PlayListParams } from "../../api/records";
import type { PlayStatus } from "../../api/generated";
import { PLAY_STATUSES } from "../../lib/status";

export interface Filter {
  statuses: PlayStatus[];
  workflow: string;
  query: string;
  /** Epoch ms; 0: not bounded. */
  from: number;
  before: number;
  /** A stretch that ends now, in ms; 0: none. */
  last: number;
  /** Child plays too. */
  children: boolean;
}

export const RANGES: [text: string, ms: number][] = [
  ["15 min", 15 * 60_000],
  ["1 h", 3_600_000],
  ["6 h", 6 * 3_600_000],
  ["24 h", 24 * 3_600_000],
  ["7 days", 7 * 24 * 3_600_000],
];

export function filterFrom(query: URLSearchParams): Filter {
  const statuses = (query.get("status") ?? "").split(",");
  return {
    statuses: PLAY_STATUSES.filter((status) => statuses.includes(status)),
    workflow: query.get("flow") ?? "",
    query: query.get("q") ?? "",
    from: number(query.get("from")),
    before: number(query.get("before")),
    last: number(query.get("last")),
    children: query.get("children") === "1",
  };
}

function number(text: string | null): number {
  const value = Number(text);
  return Number.isFinite(value) && value > 0 ? value : 0;
}

export function isFiltered(filter: Filter): boolean {
  return filter.statuses.length > 0 || filter.workflow !== "" || filter.query !== "" || filter.from > 0 || filter.before > 0 || filter.last > 0;
}

export function paramsOf(filter: Filter, now: number): PlayListParams {
  return {
    top_level: !filter.children,
    ...(filter.statuses.length > 0 ? { statuses: filter.statuses } : {}),
    ...(filter.workflow ? { workflow_sid: filter.workflow } : {}),
    ...(filter.query ? { query: filter.query } : {}),
    ...(filter.last > 0 ? { created_from: now - filter.last } : filter.from > 0 ? { created_from: filter.from } : {}),
    ...(filter.before > 0 ? { created_before: filter.before } : {}),
  };
}

export function fits(filter: Filter, play: BriefPlay, now: number): boolean {
  if (!filter.children && play.parent_play_sid) return false;
  if (filter.statuses.length > 0 && !filter.statuses.includes(play.status)) return false;
  if (filter.workflow && play.workflow_sid !== filter.workflow) return false;
  if (filter.last > 0 && play.created_at < now - filter.last) return false;
  if (filter.from > 0 && play.created_at < filter.from) return false;
  if (filter.before > 0 && play.created_at >= filter.before) return false;
  return filter.query === "" || contains(play, filter.query.toLowerCase());
}

function contains(play: BriefPlay, wanted: string): boolean {
  return (
    play.workflow_name.toLowerCase().includes(wanted) ||
    (play.flow_name ?? "").toLowerCase().includes(wanted) ||
    play.sid.startsWith(wanted) ||
    (play.cause?.message ?? "").toLowerCase().includes(wanted)
  );
}
