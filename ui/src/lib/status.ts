// What statuses are called and how they are shown, in one place.

import type { PlayStatus, SpanStatus } from "../api/generated";
import type { BriefPlay, WaitsFor } from "../api/records";
import type { IconName } from "../parts/icons";
import { moment } from "./format";

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

/** How long it took, or takes until `now`, ms. */
export function lengthOf(play: BriefPlay, now: number): number {
  return play.duration_ms ?? (hasEnded(play.status) ? 0 : Math.max(0, now - (play.started_at ?? play.created_at)));
}

export function isBad(status: PlayStatus): boolean {
  return status === "failed" || status === "timed_out";
}

/** Who started a play, in a word for people; what a caller calls itself is told as it is. */
export function originLabel(origin: string): string {
  const known: Record<string, string> = { cli: "command line", run: "command line", flow: "parent flow", nodes: "graph", embedded: "program" };
  return known[origin] ?? origin;
}

/** What a play waits for, as said of it, and until when. */
export function waited(wait: WaitsFor): string {
  const until = wait.wake_at ? ` until ${moment(wait.wake_at)}` : "";
  if (wait.kind === "sleep") return `sleeps${until}`;
  if (wait.kind === "ask") return `waits for an answer to “${wait.name}”${until}`;
  if (wait.kind === "event") return `waits for the event “${wait.name}”${until}`;
  return `waits for the play “${wait.name}”${until}`;
}
