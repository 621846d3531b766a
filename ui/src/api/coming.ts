// Methods and records that newer servers have, see `optional` in rpc.ts. What `rpc.discover` of this tree's server tells
// is in generated.ts; an entry here goes as soon as it is there.

import type {
  CauseKind,
  EpochMs,
  Json,
  LogStream,
  Play,
  PlaySid,
  PlayStatus,
  SpanId,
  SpanKind,
  SpanStatus,
  Tags,
  WorkflowSid,
} from "./generated";

export interface WaitsFor {
  kind: "ask" | "event" | "sleep" | "play";
  name: string;
  wake_at?: EpochMs | null;
}

/** A play without its input, its output and what is long in its cause. */
export interface BriefPlay {
  sid: PlaySid;
  workflow_sid: WorkflowSid;
  workflow_name: string;
  version_sid: string;
  flow_name?: string | null;
  status: PlayStatus;
  cause?: { kind: CauseKind; message: string } | null;
  parent_play_sid?: PlaySid | null;
  parent_span_id: string;
  retry_of?: PlaySid | null;
  attempt: number;
  created_at: EpochMs;
  started_at?: EpochMs | null;
  completed_at?: EpochMs | null;
  duration_ms?: number | null;
  origin?: string | null;
  waits_for?: WaitsFor[];
}

export type ByStatus = Partial<Record<PlayStatus, number>>;

export interface Overview {
  total: number;
  by_status: ByStatus;
  from_ms: EpochMs;
  to_ms: EpochMs;
  buckets: { start_ms: EpochMs; by_status: ByStatus }[];
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
  seq?: number;
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

export interface Question {
  play_sid: PlaySid;
  workflow_name: string;
  id: string;
  name: string;
  schema?: Json;
  ui?: Json;
  span_id: SpanId;
  created_at: EpochMs;
  wake_at?: EpochMs | null;
  default?: string | null;
}

export interface WorkflowStats extends ByStatus {
  plays: number;
  p50_ms?: number | null;
  p95_ms?: number | null;
  buckets: { start_ms: EpochMs; by_status: ByStatus; p50_ms?: number | null; p95_ms?: number | null }[];
}

export interface SourceReport {
  flows: { name: string; line: number; description?: string | null }[];
  errors: { line: number; column: number; message: string }[];
}

export interface Artifact {
  path: string;
  bytes: number;
  modified_ms: EpochMs;
}

export interface WindowRow {
  span_id: SpanId;
  depth: number;
  name: string;
  status: SpanStatus;
  kind: SpanKind;
  start: number;
  end: number;
  children: number;
  descendants: number;
  failed: number;
  buckets?: { status: SpanStatus; coverage: number }[];
}

export interface SpanWindow {
  seq: number;
  total_rows: number;
  rows: WindowRow[];
}

export interface PlayListParams {
  statuses?: PlayStatus[];
  workflow_sid?: WorkflowSid | null;
  parent_play_sid?: PlaySid | null;
  query?: string;
  top_level?: boolean;
  brief?: boolean;
  created_from?: EpochMs | null;
  created_before?: EpochMs | null;
  cursor?: string | null;
  limit?: number;
}

export interface ComingMethods {
  play_overview: {
    params: PlayListParams & { buckets?: number };
    result: Overview;
  };
  span_get: { params: { play_sid: PlaySid; span_id: SpanId }; result: SpanBody };
  play_logs: {
    params: {
      play_sid: PlaySid;
      span_id?: SpanId;
      below?: boolean;
      query?: string;
      stream?: LogStream;
      cursor?: string | null;
      limit?: number;
      backwards?: boolean;
    };
    result: LogPage;
  };
  play_find: { params: { play_sid: PlaySid; query: string; limit?: number }; result: Match[] };
  play_window: {
    params: {
      play_sid: PlaySid;
      open: SpanId[];
      first_row: number;
      rows: number;
      from_ms: number;
      to_ms: number;
      pixels: number;
    };
    result: SpanWindow;
  };
  question_list: {
    params: { cursor?: string | null; limit?: number };
    result: { items: Question[]; next_cursor?: string | null };
  };
  workflow_stats: {
    params: { workflow_sid: WorkflowSid; from_ms?: EpochMs; buckets?: number };
    result: WorkflowStats;
  };
  source_check: { params: { python_source: string }; result: SourceReport };
  artifact_list: { params: { play_sid: PlaySid }; result: Artifact[] };
}

export type PlayRecord = Play & { origin?: string | null; waits_for?: WaitsFor[] };
