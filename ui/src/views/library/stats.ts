// How a flow does: from the server, or from its latest plays where the server does not count. Pure.

import type { BriefPlay, ByStatus, WorkflowStats } from "../../api/coming";
import { hasEnded } from "../../lib/status";

export function quantile(sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

export function statsOf(plays: readonly BriefPlay[], from: number, to: number, buckets: number): WorkflowStats {
  const width = Math.max(1, (to - from) / buckets);
  const lengths: number[][] = Array.from({ length: buckets }, () => []);
  const made: WorkflowStats = {
    plays: plays.length,
    buckets: Array.from({ length: buckets }, (_, at) => ({ start_ms: from + at * width, by_status: {} as ByStatus })),
  };
  for (const play of plays) {
    made[play.status] = (made[play.status] ?? 0) + 1;
    const at = Math.min(buckets - 1, Math.max(0, Math.floor((play.created_at - from) / width)));
    const { by_status } = made.buckets[at]!;
    by_status[play.status] = (by_status[play.status] ?? 0) + 1;
    if (hasEnded(play.status) && play.duration_ms !== null && play.duration_ms !== undefined) lengths[at]!.push(play.duration_ms);
  }
  const all = lengths.flat().sort((a, b) => a - b);
  made.p50_ms = quantile(all, 0.5);
  made.p95_ms = quantile(all, 0.95);
  lengths.forEach((own, at) => {
    own.sort((a, b) => a - b);
    made.buckets[at]!.p50_ms = quantile(own, 0.5);
    made.buckets[at]!.p95_ms = quantile(own, 0.95);
  });
  return made;
}

/** Of those that ended otherwise than by being cancelled, how many succeeded; null where none did end. */
export function successShare(stats: WorkflowStats): number | null {
  const bad = (stats.failed ?? 0) + (stats.timed_out ?? 0);
  const good = stats.success ?? 0;
  return good + bad === 0 ? null : good / (good + bad);
}
