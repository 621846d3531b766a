// What statuses are called and how they are shown, in one place.

import type { PlayStatus, SpanStatus } from "../api/generated";
import type { IconName } from "../parts/Icon.svelte";

export const PLAY_STATUSES: readonly PlayStatus[] = [
  "running",
  "awaiting_resume",
  "pending",
  "failed",
  "timed_out",
  "cancelled",
  "success",
];

const LABELS: Record<PlayStatus | SpanStatus, string> = {
  success: "Success",
  failed: "Failed",
  timed_out: "Timed out",
  cancelled: "Cancelled",
  running: "Running",
  pending: "Pending",
  awaiting_resume: "Awaiting",
  ok: "OK",
  replayed: "Replayed",
};

export function statusLabel(status: PlayStatus | SpanStatus): string {
  return LABELS[status] ?? status;
}

export function statusIcon(status: PlayStatus | SpanStatus): IconName {
  return status === "ok" ? "success" : status;
}

/** The name in tokens.css: `--{tone}-fg`, `--{tone}-bar`, `--{tone}-bg`. */
export function tone(status: PlayStatus | SpanStatus): string {
  switch (status) {
    case "ok":
      return "success";
    case "awaiting_resume":
      return "awaiting";
    case "replayed":
      return "cancelled";
    default:
      return status;
  }
}

export function hasEnded(status: PlayStatus): boolean {
  return status === "success" || status === "failed" || status === "timed_out" || status === "cancelled";
}

export function isBad(status: PlayStatus): boolean {
  return status === "failed" || status === "timed_out";
}
