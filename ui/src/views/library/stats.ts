// How a flow does. Pure.

import type { WorkflowStats } from "../../api/records";

/** Of those that ended otherwise than by being cancelled, how many succeeded; null where none did end. */
export function successShare(stats: WorkflowStats): number | null {
  const bad = (stats.failed ?? 0) + (stats.timed_out ?? 0);
  const good = stats.success ?? 0;
  return good + bad === 0 ? null : good / (good + bad);
}
