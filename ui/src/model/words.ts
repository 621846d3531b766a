// The words of the wire as small numbers, for typed arrays.

import type { SpanKind, SpanStatus } from "../api/generated";

export const STATUSES: readonly SpanStatus[] = ["running", "ok", "failed", "timed_out", "cancelled", "replayed"];
export const KINDS: readonly SpanKind[] = ["flow_root", "step", "rpc", "subflow", "other"];

export const RUNNING = 0;
export const OK = 1;
export const FAILED = 2;
export const TIMED_OUT = 3;
export const CANCELLED = 4;
export const REPLAYED = 5;

export const FLOW_ROOT = 0;
export const STEP = 1;
export const RPC = 2;
export const SUBFLOW = 3;
export const OTHER = 4;

export const HAS_LOGS = 1;
export const HAS_TAGS = 2;
export const HAS_ERROR = 4;
export const HAS_CHILD_PLAY = 8;
export const DURABLE = 16;

export function statusNumber(status: string): number {
  const at = STATUSES.indexOf(status as SpanStatus);
  return at < 0 ? OK : at;
}

export function kindNumber(kind: string): number {
  const at = KINDS.indexOf(kind as SpanKind);
  return at < 0 ? OTHER : at;
}

export function isFailure(status: number): boolean {
  return status === FAILED || status === TIMED_OUT;
}

/** The attempt in front of a span id (`2.17`): 0 where the id is none of the SDK's. */
export function attemptOf(id: string, attempts: number): number {
  const dot = id.indexOf(".");
  if (dot <= 0) return 0;
  const attempt = Number(id.slice(0, dot));
  return Number.isInteger(attempt) && attempt >= 1 && attempt <= attempts ? attempt : 0;
}
