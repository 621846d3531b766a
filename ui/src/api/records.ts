// Names of records, where the OpenRPC document has them only within others or not at all.

import type { EpochMs, Methods, PlaySid, PlaySummary, SpanId, SpanKind, SpanStatus, SpanWithLogs, StatusCounts, Tags, LogStream } from "./generated";

export type { Overview, Play, Question, WaitsFor, WorkflowStats } from "./generated";
export type BriefPlay = PlaySummary;
export type ByStatus = StatusCounts;
export type PlayListParams = Methods["play_list"]["params"];
export type Span = Omit<SpanWithLogs, "logs">;

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

export interface SpanBody {
  span_id: SpanId;
  parent_id: string;
  name: string;
  kind: SpanKind;
  status: SpanStatus;
  start_ms: EpochMs;
  end_ms?: EpochMs | null;
  tags: Tags;
  error?: string | null;
  source_file?: string | null;
  source_line?: number | null;
  rpc_service?: string | null;
  rpc_method?: string | null;
  child_play_sid?: PlaySid | null;
  log_count?: number;
  log_bytes?: number;
}

export interface LogPiece {
  /** Its change number, as in the stream. */
  seq: number;
  span_id: SpanId;
  ts_ms: EpochMs;
  stream: LogStream;
  text: string;
}

export interface LogPage {
  items: LogPiece[];
  next_cursor?: string | null;
  total?: number;
}

export interface Match {
  span_id: SpanId;
  in: "name" | "tag" | "error" | "log";
}

export interface Artifact {
  path: string;
  bytes: number;
  modified_ms: EpochMs;
}

export interface SourceReport {
  flows: { name: string; line: number; description?: string | null }[];
  errors: { line: number; column: number; message: string }[];
}

export interface WindowRow {
  span_id: SpanId;
  depth: number;
  name: string;
  status: SpanStatus;
  kind: SpanKind;
  start: number;
  end: number;
  flags: number;
  children: number;
  descendants: number;
  failed: number;
  buckets?: { status?: SpanStatus | null; coverage: number }[] | null;
}

export interface SpanWindow {
  seq: number;
  total_rows: number;
  rows: WindowRow[];
  revealed?: { row: number; open: SpanId[] } | null;
}
