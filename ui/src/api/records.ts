// Names of records, where the OpenRPC document has them only within others or not at all.

import type { LogEntry, Methods, PlaySummary, SpanDetail, SpanMatch, SpanWithLogs, StatusCounts } from "./generated";

export type { Artifact, Overview, Play, Question, Reveal, SourceReport, SpanWindow, WaitsFor, WindowRow, WorkflowStats } from "./generated";
export type BriefPlay = PlaySummary;
export type ByStatus = StatusCounts;
export type LogPiece = LogEntry;
export type Match = SpanMatch;
export type PlayListParams = Methods["play_list"]["params"];
export type Span = Omit<SpanWithLogs, "logs">;
export type SpanBody = Span & Partial<Pick<SpanDetail, "log_count" | "log_bytes">>;

/** `GET /api/plays/{sid}/outline`: columns, one item a span, in start order. */
export interface Outline {
  play: BriefPlay;
  seq: number;
  count: number;
  names: string[];
  ids: string[];
  parent: number[];
  name: number[];
  kind: number[];
  status: number[];
  start: number[];
  end: number[];
  flags: number[];
  child_plays: Record<string, string>;
}
