// Counts of plays over time. Pure.

import type { BriefPlay, ByStatus, Overview } from "../../api/coming";

/** The overview of plays that are here, for servers that give none. */
export function overviewOf(plays: readonly BriefPlay[], from: number, to: number, buckets = 60): Overview {
  const width = Math.max(1, (to - from) / buckets);
  const made: Overview = {
    total: plays.length,
    by_status: {},
    from_ms: from,
    to_ms: to,
    buckets: Array.from({ length: buckets }, (_, at) => ({ start_ms: from + at * width, by_status: {} })),
  };
  for (const play of plays) {
    add(made.by_status, play.status);
    const at = Math.floor((play.created_at - from) / width);
    if (at >= 0 && at <= buckets) add(made.buckets[Math.min(at, buckets - 1)]!.by_status, play.status);
  }
  return made;
}

function add(counts: ByStatus, status: keyof ByStatus): void {
  counts[status] = (counts[status] ?? 0) + 1;
}

export function sumOf(counts: ByStatus): number {
  let sum = 0;
  for (const value of Object.values(counts)) sum += value ?? 0;
  return sum;
}
