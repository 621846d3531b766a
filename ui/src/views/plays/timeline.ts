// Counts of plays over time. Pure.

import type { ByStatus } from "../../api/records";

export function sumOf(counts: ByStatus): number {
  let sum = 0;
  for (const value of Object.values(counts)) sum += value ?? 0;
  return sum;
}
