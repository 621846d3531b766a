// Made by scripts/generate-types.mjs from the OpenRPC document of hero_logic. Do not edit: npm run types.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Names a workflow of the library. */
export type WorkflowSid = string;

/** An input: a JSON text, or the object itself. */
export type InputData = string | Record<string, Json>;

/** Names one immutable version of a workflow. */
export type VersionSid = string;

/** How a play's process is started. */
export type StartMode = "warm" | "cold";

/**
 * Limits of a play. What is not given is decided by the next source: the call, the flow
 * (`@flow(limits=)`), the server's defaults, the built-in ones.
 */
export type Limits = {
  /**
   * Memory of all its processes together, bytes; what they share counts once. Beyond: the play is
   * killed, `out_of_memory`.
   */
  memory_bytes?: number | null;
  /** CPU time of all its processes together, user and system, milliseconds. Beyond: it is stopped. */
  cpu_ms?: number | null;
  /** Open files of each of its processes, at least 16. Beyond: the flow itself gets `EMFILE`. */
  open_files?: number | null;
  /** Processes at once, its own among them. Beyond: it is killed. */
  processes?: number | null;
  /** Text that is kept of what it prints and logs, bytes. Beyond: cut, and said. */
  output_bytes?: number | null;
  /** What its directory holds, bytes. Beyond: it is killed. */
  disk_bytes?: number | null;
  /** Spans. Beyond: skipped, and counted. */
  spans?: number | null;
};

/** Names a play. */
export type PlaySid = string;

/** The record of a play. */
export type Play = {
  sid: PlaySid;
  workflow_sid: WorkflowSid;
  workflow_name: string;
  version_sid: VersionSid;
  /** The flow that runs: the one that the version names, or another of the same source. */
  flow_name?: string | null;
  status: PlayStatus;
  /** Null for a play that succeeded or has not ended. */
  cause?: Cause | null;
  /** A JSON text: an object, the flow's arguments by name. */
  input_data: string;
  /** A JSON text: the flow's return value. Null until there is one. */
  output_data?: string | null;
  /** The play that started this one. */
  parent_play_sid?: PlaySid | null;
  /** The parent's span under which this play's root span hangs: `{play_sid}/{span_id}`, or `""`. */
  parent_span_id: string;
  /** The play that this one tries again. */
  retry_of?: PlaySid | null;
  /**
   * Who started it: `run`, `cli`, `page`, `rpc`, `flow` (it is a child play), `nodes` (a node of a play of nodes
   * and edges), `embedded`, or what its caller calls itself.
   */
  origin: string;
  /**
   * How often it was taken to be started: 1 for the first process, 0 before. One that was taken while its server stopped, and
   * got no process, has a further one with the next server.
   */
  attempt: number;
  created_at: EpochMs;
  started_at?: EpochMs | null;
  completed_at?: EpochMs | null;
  /** From `started_at` (`created_at`, where it never started) to `completed_at`, milliseconds. */
  duration_ms?: number | null;
  usage?: Usage | null;
  /** What had to be skipped of what the play sent; null where nothing was. */
  skipped?: Skipped | null;
};

/** Where a play stands. Terminal is final: retry makes a new play, linked to the old one. */
export type PlayStatus = "success" | "failed" | "timed_out" | "cancelled" | "pending" | "running" | "awaiting_resume";

/** Why a play ended, with all that is known to mend it. */
export type Cause = {
  kind: CauseKind;
  /** One sentence for a person: what failed, on what, and what to do where that is known. */
  message: string;
  /** The exit code, where the process left with one. */
  exit_code?: number | null;
  /** The signal's name (`SIGSEGV`), where one ended the process. */
  signal?: string | null;
  exception?: Exception | null;
  /** The limit that was hit, where one was. */
  limit?: LimitHit | null;
  /** Who cancelled: `caller`, `parent {play_sid}`, `shutdown`. */
  by?: string | null;
  /**
   * The span that was open last (started last) when it ended, or the last that ended; where a
   * failure went up from span to span, the one where it began.
   */
  last_span?: LastSpan | null;
  /**
   * Where each Python thread of the play's process was when the order to stop it came, before any
   * signal had changed that. Empty where it could not be learned (no Python ran there yet or any
   * more, or it did not answer within 250 ms), and for an end that nobody ordered.
   */
  stacks?: ThreadStack[];
  /** The last 64 KiB of standard error. */
  stderr_tail?: string | null;
  /** As [`Usage::peak_memory_bytes`]. */
  peak_memory_bytes?: number | null;
  /** As [`Usage::cpu_ms`]. */
  cpu_ms?: number | null;
  /** How many processes the runtime had to kill at the end. */
  processes_killed?: number | null;
};

/** Why a play did not simply succeed: the rows of the outcome table. */
export type CauseKind = "timeout" | "cancelled" | "exception" | "exit" | "signal" | "out_of_memory" | "killed" | "start" | "internal" | "interrupted" | "recovery_exhausted";

/** A Python exception, as the SDK reports it with the span that raised it. */
export type Exception = {
  type: string;
  message: string;
  /** The traceback's own frames: the author's code and libraries, without the SDK's. */
  traceback?: string | null;
  /** The innermost frame in the author's file, else the innermost one. */
  file?: string | null;
  line?: number | null;
  function?: string | null;
};

/** Which limit was hit, with the proof. */
export type LimitHit = {
  name: LimitName;
  /** In the unit of the limit: bytes, milliseconds, or a number of things. */
  limit: number;
  /** What was found, in the same unit. */
  measured: number;
  /** At the memory and the process limit: the processes that had most, the largest first. */
  largest?: ProcessShare[];
};

/** One of the limits. */
export type LimitName = "memory" | "cpu" | "open_files" | "processes" | "output" | "disk" | "spans";

/** What one process had. */
export type ProcessShare = {
  pid: number;
  /** As the kernel has it: 15 bytes at most. */
  name: string;
  /** Memory, bytes; of what is shared, its part. */
  memory_bytes: number;
};

/** Where a play was when it ended. */
export type LastSpan = {
  span_id: SpanId;
  name: string;
  source_file?: string | null;
  source_line?: number | null;
};

/** Names a span within its play. The SDK counts, with the attempt in front: `1.17`. */
export type SpanId = string;

/** Where a thread was. */
export type ThreadStack = {
  /** `main` (the one that runs the flow), else the thread's name, else its number (`0x7f…`). */
  thread: string;
  /** From the outermost call to the innermost, as in a traceback; without the SDK's own. */
  frames: Frame[];
  /** The stack was deeper (100 frames are looked at): its outer calls are missing. */
  cut?: boolean;
};

/** One call in a stack. */
export type Frame = {
  file: string;
  line: number;
  function: string;
};

/** Milliseconds since 1970-01-01T00:00:00Z. May carry a fraction (microseconds). */
export type EpochMs = number;

/** What the processes of a play used up, over all attempts. */
export type Usage = {
  /**
   * CPU time, user and system, of everything that it started, milliseconds: those that were
   * waited for, those that were killed, and the others as they were last seen.
   */
  cpu_ms: number;
  /**
   * Peak memory, bytes: of all processes together as they were looked at (every 50 ms, where
   * there are not many plays), what they share counted once; at least that of the largest process.
   */
  peak_memory_bytes: number;
  /** The most processes that were seen at once, or had to be killed at the end. */
  processes: number;
  /** How many processes had to be killed: at its end what it had left behind, or all where it was stopped. */
  killed?: number;
  /** How the process of the last attempt was started; `null` where there was none. */
  start?: StartMode | null;
};

/** What the runtime had to skip of what a play sent, and why. Nothing else is lost by it. */
export type Skipped = {
  /** Lines that are no JSON object of the expected form. */
  broken_lines: number;
  /** Lines over 1 MiB. */
  long_lines: number;
  /** Lines whose `type` is not known. */
  unknown_types: number;
  /** Events for a span that never started. */
  unknown_spans: number;
  /** Starts of a span that had started, ends and tags of one that had ended. */
  duplicates: number;
  /** Bytes of output beyond the play's bound. */
  log_bytes: number;
  /** Spans, connections and the like beyond a bound. */
  over_limit: number;
  /** What the first skipped event was, for a person to start from. */
  first?: string | null;
};

/** The short form of a play. */
export type PlayBrief = {
  sid: PlaySid;
  status: PlayStatus;
  cause?: Cause | null;
  created_at: EpochMs;
  started_at?: EpochMs | null;
  completed_at?: EpochMs | null;
  duration_ms?: number | null;
};

/** The answer of `play_spans`. */
export type SpanPage = {
  /** In start order. */
  spans: SpanWithLogs[];
  /** Null on the last page. */
  next_cursor?: string | null;
};

/** A span with its logs, as `play_spans` returns it. */
export type SpanWithLogs = {
  span_id: SpanId;
  /** The parent within the play. The root's is `{play_sid}/{span_id}` of the calling play, or `""`. */
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
  /** For spans of kind `rpc`, from the name `rpc:{service}.{method}`. */
  rpc_service?: string | null;
  rpc_method?: string | null;
  /** The play that this span started and waits for. */
  child_play_sid?: PlaySid | null;
  logs: Log[];
};

/** What a span stands for. */
export type SpanKind = "flow_root" | "step" | "rpc" | "subflow" | "other";

/** How a span ended; `running` while it is open. */
export type SpanStatus = "running" | "ok" | "failed" | "timed_out" | "cancelled" | "replayed";

/**
 * See the module. Any JSON reader takes the text: no key is there twice, no number is too large, no
 * nesting too deep.
 */
export type Tags = Record<string, Json>;

/** A piece of text that a play wrote: one line or several. */
export type Log = {
  /**
   * The span it belongs to; `""` for what was written before the first span (readers show it at
   * the root).
   */
  span_id: SpanId;
  ts_ms: EpochMs;
  stream: LogStream;
  text: string;
};

/** Where a piece of text came from. */
export type LogStream = "log" | "stdout" | "stderr";

/** A page of a list, with where the next one starts (null on the last). */
export type Page = {
  items: PlayItem[];
  next_cursor?: string | null;
};

/** What `play_list` lists: whole records, or summaries. */
export type PlayItem = Play | PlaySummary;

/** The record of a play without input, output and what of its cause can be long. */
export type PlaySummary = {
  sid: PlaySid;
  workflow_sid: WorkflowSid;
  workflow_name: string;
  version_sid: VersionSid;
  flow_name?: string | null;
  status: PlayStatus;
  cause?: CauseSummary | null;
  parent_play_sid?: PlaySid | null;
  parent_span_id: string;
  retry_of?: PlaySid | null;
  origin: string;
  attempt: number;
  created_at: EpochMs;
  started_at?: EpochMs | null;
  completed_at?: EpochMs | null;
  duration_ms?: number | null;
  usage?: Usage | null;
  skipped?: Skipped | null;
  /** What a play that is `awaiting_resume` waits for, oldest first; five of them at most. */
  waits_for?: WaitsFor[];
};

/** The kind of a cause, and its message: its first 2,000 bytes. */
export type CauseSummary = {
  kind: CauseKind;
  message: string;
};

/** One thing that a play waits for. */
export type WaitsFor = {
  kind: WaitKind;
  name: string;
  /** When the waiting is over, whatever comes. */
  wake_at?: EpochMs | null;
};

/** What a play waits for. */
export type WaitKind = "ask" | "event" | "sleep" | "play";

/** From where a retry runs anew. */
export type RetryFrom = "failure" | "start";

/** What a fork would make of a durable step. */
export type StepPreview = {
  /** The span of the attempt that did it. */
  span_id: SpanId;
  name: string;
  fate: StepFate;
  start_ms: EpochMs;
  /** `null`: it has not come to its end. */
  end_ms?: EpochMs | null;
};

/** See [`StepPreview`]. */
export type StepFate = "reused" | "will_run_again" | "changed" | "orphaned";

/** A question that a play waits with. */
export type PendingResume = {
  /** Names it in `play_resume`; the same on every attempt. */
  id: string;
  name: string;
  /** The JSON Schema of the answer; null: any value will do. */
  schema?: Json;
  /** What the flow says about how to show it. */
  ui?: Json;
  span_id: SpanId;
  created_at: EpochMs;
  /** Until when an answer is waited for. */
  wake_at?: EpochMs | null;
  /** A JSON text: what is taken for the answer then; without it the flow gets a `TimeoutError`. */
  default?: string | null;
  /** The path to which anybody may POST the answer, without further authorisation: to be kept secret. */
  webhook: string;
};

/** A span, and how much it has logged. */
export type SpanDetail = {
  span_id: SpanId;
  /** The parent within the play. The root's is `{play_sid}/{span_id}` of the calling play, or `""`. */
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
  /** For spans of kind `rpc`, from the name `rpc:{service}.{method}`. */
  rpc_service?: string | null;
  rpc_method?: string | null;
  /** The play that this span started and waits for. */
  child_play_sid?: PlaySid | null;
  /** How many pieces of text; of the root with what was written before the first span. */
  log_count: number;
  /** Bytes of their texts. */
  log_bytes: number;
};

/** Names a span that is to be seen: what is above it is open, too. */
export type Reveal = {
  span_id?: SpanId | null;
  /**
   * Not the span itself but the first one after it, or before it, in which a failure began; without a
   * span the first or the last of all.
   */
  failure?: Toward | null;
};

/** In start order. */
export type Toward = "next" | "previous";

/** Some rows of a play's tree, as they stood together at `seq`. */
export type SpanWindow = {
  seq: number;
  /** How many rows there are, seen or not. */
  total_rows: number;
  rows: WindowRow[];
  /** Where the span is that was to be seen; null where there is no such span. */
  revealed?: Revealed | null;
};

/** A row: a span, with sums of what is below it. */
export type WindowRow = {
  span_id: SpanId;
  /** 0 for the root. */
  depth: number;
  name: string;
  status: SpanStatus;
  kind: SpanKind;
  /** Milliseconds since the play was created. */
  start: number;
  /** -1 while it is running. */
  end: number;
  /** As in an outline. */
  flags: number;
  children: number;
  /** All below it. */
  descendants: number;
  /** How many of those failed or timed out. */
  failed: number;
  /** Of a closed row with children: what is below it, column by column. */
  buckets?: Bucket[] | null;
};

/** What spans there are in a column. */
export type Bucket = {
  /** The worst among them; none where there is no span. */
  status?: SpanStatus | null;
  /** How much of the column they fill, 1 at most; 0 where there is no span. */
  coverage: number;
};

/** Where the span is that was to be seen. */
export type Revealed = {
  span_id: SpanId;
  /** Counted from 0, among all that are seen. */
  row: number;
  /** What is above it, from the root on: open, whether or not it was named. */
  open: SpanId[];
};

/** A page of logs. */
export type LogPage = {
  items: LogEntry[];
  /** Where the next page starts; null on the last. */
  next_cursor?: string | null;
  /** How many there are in all; on the first page, where it takes no looking at each of them. */
  total?: number | null;
};

/** A piece of text that a play wrote, with its change number. */
export type LogEntry = {
  seq: number;
  /**
   * The span it belongs to; `""` for what was written before the first span (readers show it at
   * the root).
   */
  span_id: SpanId;
  ts_ms: EpochMs;
  stream: LogStream;
  text: string;
};

/** A span that contains what was searched for. */
export type SpanMatch = {
  span_id: SpanId;
  /** Where it was found first: in this order. */
  in: MatchPlace;
};

/** Where in a span something was found. */
export type MatchPlace = "name" | "tag" | "error" | "log";

/** A file that a play left in its working directory. */
export type Artifact = {
  /** From there, with `/` between its parts. */
  path: string;
  bytes: number;
  modified_ms: EpochMs;
};

/** What a Python source holds. */
export type SourceReport = {
  /** In the order of their definition. */
  flows: FlowFound[];
  /** What keeps it from being Python; `flows` is empty then. */
  errors: SourceError[];
};

/** One function that `@flow` marks. */
export type FlowFound = {
  name: string;
  /** From 1. */
  line: number;
  description?: string | null;
  signature: Signature;
};

/** The parameters of a flow. */
export type Signature = {
  parameters: Parameter[];
  /** Whether it takes further keyword arguments (`**kwargs`). */
  accepts_extra: boolean;
};

/** One parameter of a flow. */
export type Parameter = {
  name: string;
  required: boolean;
  annotation?: string | null;
  default?: Json;
};

/** Why a source is no Python, and where. */
export type SourceError = {
  /** From 1. */
  line: number;
  /** From 1. */
  column: number;
  message: string;
};

/** A node of the legacy DAG: another workflow, run as a child play. */
export type Node = {
  id: string;
  workflow_sid: WorkflowSid;
  /** Fixed inputs; what an edge brings goes over them. */
  inputs?: Record<string, Json> | null;
};

/** An edge of the legacy DAG: the output of `from` becomes the input of `to`. */
export type Edge = {
  from: string;
  to: string;
  /** Renames keys of the output: `{"key of the output": "key of the input"}`. */
  map?: Record<string, Json> | null;
};

/** The named library entry of a flow. */
export type Workflow = {
  sid: WorkflowSid;
  /** Unique in the library. */
  name: string;
  description: string;
  tags: string[];
  current_version_sid: VersionSid;
  created_at: EpochMs;
  updated_at: EpochMs;
};

/** A page of a list, with where the next one starts (null on the last). */
export type Page2 = {
  items: Workflow[];
  next_cursor?: string | null;
};

/** An immutable snapshot of a workflow: Python source, or (legacy) nodes and edges. */
export type WorkflowVersion = {
  sid: VersionSid;
  workflow_sid: WorkflowSid;
  /** 1 for the first version of its workflow. */
  number: number;
  /** Empty for a version that has only nodes and edges. */
  python_source: string;
  nodes: Node[];
  edges: Edge[];
  /** What the author says of the inputs: any JSON value, a JSON Schema by convention. */
  inputs: Json;
  outputs: Json;
  /** The author's file, for tracebacks and for the modules beside it. */
  source_file?: string | null;
  /** The flow that a play of this version runs; null where the source has none. */
  flow_name?: string | null;
  /** The parameters of that flow, as far as the source tells them without being run. */
  signature?: Signature | null;
  /** `@flow(timeout=)`, milliseconds. */
  timeout_ms?: number | null;
  /** `@flow(limits=)`. */
  limits?: Limits;
  /** `@flow(on_interrupt=)`. */
  on_interrupt?: OnInterrupt;
  /** `@flow(env=[…])`: names that the play gets from the server's environment, or `NAME=VALUE`. */
  env: string[];
  created_at: EpochMs;
};

/** What becomes of a play whose process or server dies. */
export type OnInterrupt = "resume" | "fail";

/** A page of a list, with where the next one starts (null on the last). */
export type Page3 = {
  items: WorkflowVersion[];
  next_cursor?: string | null;
};

/** The answer of `play_overview`. */
export type Overview = {
  total: number;
  by_status: StatusCounts;
  from_ms: EpochMs;
  to_ms: EpochMs;
  /** By when the plays were created; stretches of the same length, in their order. */
  buckets: OverviewBucket[];
  /** `false`: there are more plays than are counted in one call; the newest are. */
  complete: boolean;
};

/** How many plays have which status; a status that none has is left out. */
export type StatusCounts = {
  pending?: number;
  running?: number;
  awaiting_resume?: number;
  success?: number;
  failed?: number;
  timed_out?: number;
  cancelled?: number;
};

/** The plays of one stretch of time. */
export type OverviewBucket = {
  start_ms: EpochMs;
  by_status: StatusCounts;
};

/** A page of a list, with where the next one starts (null on the last). */
export type Page4 = {
  items: Question[];
  next_cursor?: string | null;
};

/** An open question, whoever asks it. It has no path where anybody may answer: only `play_pending_resumes` tells that. */
export type Question = {
  play_sid: PlaySid;
  workflow_name: string;
  /** Names it in `play_resume`; the same on every attempt. */
  id: string;
  name: string;
  /** The JSON Schema of the answer; null: any value will do. */
  schema?: Json;
  /** What the flow says about how to show it. */
  ui?: Json;
  span_id: SpanId;
  created_at: EpochMs;
  /** Until when an answer is waited for. */
  wake_at?: EpochMs | null;
  /** A JSON text: what is taken for the answer then. */
  default?: string | null;
};

/** `server_status`: what a server does just now, and did lately. */
export type ServerStatus = {
  now: EpochMs;
  started_at: EpochMs;
  uptime_ms: number;
  slots: Slots;
  /** Plays that wait for a slot. */
  pending: number;
  /** Plays that wait for something from outside. */
  awaiting_resume: number;
  /** The processes that are forked ahead of plays, by kind; none where plays start cold. */
  warm: WarmKind[];
  store: StoreStatus;
  last_minute: Throughput;
  since_start: SinceStart;
  /** Of the server itself, without its plays. */
  memory_bytes?: number | null;
  open_files?: number | null;
  /** As of `server_info`. */
  trouble?: string | null;
};

/** How many plays may have a process, and have. */
export type Slots = {
  limit: number;
  /** Plays with a process. */
  running: number;
  /** Of these, those that wait for a child play and hold no slot. */
  waiting_for_child: number;
};

/** Processes of one kind that are forked ahead: of the same interpreter, environment and imports. */
export type WarmKind = {
  python: string;
  /** Modules that are loaded before the fork. */
  imports: string[];
  /** How many wait for a play. */
  ready: number;
  /** Whether its fork server forks: it is not only being started, or has failed. */
  forks: boolean;
};

/** How much the store holds. */
export type StoreStatus = {
  /** Plays, ended or not. */
  plays: number;
  /** Of the database and its log. */
  bytes: number;
  /** Free where the data directory is, for this user. */
  disk_free_bytes?: number | null;
};

/** How much happened in a second, on average. */
export type Throughput = {
  /** Of this time: about a minute, less where the server has not run for so long. */
  over_ms: number;
  plays_started: number;
  plays_ended: number;
  /** Of these, those that failed or timed out. */
  plays_failed: number;
  spans: number;
  commits: number;
};

/** What went well and what did not, since the server started. */
export type SinceStart = {
  plays_started: number;
  plays_ended: StatusCounts;
  /** Parts that were replaced after they died: `registry`, `library`, `guard`. */
  restarts: Record<string, number>;
};

/** The answer of `workflow_stats`: how the plays of a workflow ended, and how long they took. */
export type WorkflowStats = {
  plays: number;
  pending?: number;
  running?: number;
  awaiting_resume?: number;
  success?: number;
  failed?: number;
  timed_out?: number;
  cancelled?: number;
  /** Of plays that have ended, half took no longer than this, milliseconds; null where none has. */
  p50_ms?: number | null;
  /** 95 % took no longer than this. */
  p95_ms?: number | null;
  from_ms: EpochMs;
  to_ms: EpochMs;
  /** By when the plays were created; stretches of the same length, in their order. */
  buckets: StatsBucket[];
  /** As of an overview. */
  complete: boolean;
};

/** The plays of one stretch of time, and how long those took that have ended. */
export type StatsBucket = {
  start_ms: EpochMs;
  by_status: StatusCounts;
  p50_ms?: number | null;
  p95_ms?: number | null;
};

/** `server_info`: who answers, for clients and people. */
export type ServerInfo = {
  version: string;
  pid: number;
  data_dir: string;
  started_at: EpochMs;
  /** Plays with a process. */
  running: number;
  /** Plays that wait for a slot. */
  pending: number;
  /** How many plays may have a process at once; a play that waits for a child play counts for none. */
  max_plays: number;
  /**
   * Why nothing can be written just now (a full disk, say): what plays do is kept in memory and
   * waits, new plays are refused. `null` when all is well.
   */
  trouble?: string | null;
};

/** What `doctor` found. */
export type Diagnosis = {
  /** Whether nothing is broken; warnings are allowed. */
  ok: boolean;
  version: string;
  checks: Check[];
};

/** One thing that was looked at. */
export type Check = {
  /** Stable: `python`, `store.integrity`. */
  id: string;
  status: CheckStatus;
  /** One sentence: what was found. */
  summary: string;
  /** What to do. */
  hint?: string | null;
  /** The figures behind it. */
  facts?: Record<string, Json>;
};

/** How one check came out. */
export type CheckStatus = "ok" | "warning" | "broken";

/** What `prune` deleted, or would delete. */
export type PruneReport = {
  dry_run: boolean;
  /** Plays, with those that they started. */
  plays: number;
  /** About how many bytes, store and artifacts together. */
  bytes: number;
  /** Ended plays that are left. */
  left_plays: number;
  /** Oldest first; at most 1,000. */
  trees: PrunedTree[];
  /** Trees that are not named in `trees`. */
  more_trees: number;
};

/** A play that was deleted, with all that it had started. */
export type PrunedTree = {
  play_sid: PlaySid;
  workflow_name: string;
  /** When the last play of it ended. */
  ended_at: EpochMs;
  /** How many plays it was. */
  plays: number;
  /** About how many bytes; artifacts are counted where `retain_bytes` was exceeded, and in a dry run. */
  bytes: number;
  reason: PruneReason;
};

/** Which limit a tree of plays was beyond. */
export type PruneReason = "age" | "plays" | "bytes";

export type OpenRpcDocument = Record<string, Json>;

/** The word in `data.kind` of an error. */
export type ErrorKind = "parse_error" | "invalid_request" | "method_not_found" | "invalid_params" | "internal" | "not_found" | "invalid_input" | "conflict" | "unavailable" | "too_large" | "unauthorized";

/** Every method: its parameters by name, and its result. */
export interface Methods {
  /** Starts a play and returns its sid; never waits for the flow. */
  play_run_async: {
    params: {
      workflow_sid: WorkflowSid;
      input_data?: InputData;
      /** `""` for a top-level play, else `{play_sid}/{span_id}`. */
      parent_span_id?: string;
      /** Wall-clock timeout, milliseconds; instead of the flow's own and the default of one hour. */
      timeout_ms?: number | null;
      /** Instead of the workflow's current version. */
      version_sid?: VersionSid | null;
      /** Environment variables for the play. */
      env?: Record<string, string>;
      /** The same key names the same play. */
      idempotency_key?: string | null;
      /** `null`: warm where a process waits already, else cold. */
      start?: StartMode | null;
      /** The Python interpreter, instead of the one found beside the flow or on the server's path. */
      python?: string | null;
      /** Instead of the flow's own limits and the server's. */
      limits?: Limits;
      /** Answers given ahead, by the names of questions and events: a pause of such a name does not wait. */
      prefill?: Record<string, Json>;
      /** A question that is not answered ahead is refused instead of asked. */
      prefill_only?: boolean;
      /** Who starts it, as it is told of the play; at most 64 characters. Default: `rpc`, or `flow` for a child play. */
      origin?: string | null;
    };
    result: PlaySid;
  };
  /** Answers when the play has ended, or after timeout_ms (0: waits for ever) with the play as it then stands. */
  play_wait: {
    params: {
      play_sid: PlaySid;
      /** Milliseconds; 0 waits for ever. */
      timeout_ms?: number;
    };
    result: Play;
  };
  /** Applies one span event to a play; false: skipped (duplicate, unknown span). */
  span_push: {
    params: {
      play_sid: PlaySid;
      /** One event of the span wire, as JSON text. */
      event_json: string;
    };
    result: boolean;
  };
  /** The workflows whose name or description contains the query, best first. */
  flow_library_search: {
    params: {
      query: string;
      limit?: number;
    };
    result: WorkflowSid[];
  };
  /** Starts a play of the workflow's current version, Python source or nodes and edges, and returns its record. */
  play_start: {
    params: {
      workflow_sid: WorkflowSid;
      input_data?: InputData;
      /** Wall-clock timeout, milliseconds; instead of the flow's own and the default of one hour. */
      timeout_ms?: number | null;
      /** Instead of the workflow's current version. */
      version_sid?: VersionSid | null;
      /** Environment variables for the play. */
      env?: Record<string, string>;
      /** The same key names the same play. */
      idempotency_key?: string | null;
      /** `null`: warm where a process waits already, else cold. */
      start?: StartMode | null;
      /** The Python interpreter, instead of the one found beside the flow or on the server's path. */
      python?: string | null;
      /** Instead of the flow's own limits and the server's. */
      limits?: Limits;
      /** Answers given ahead, by the names of questions and events: a pause of such a name does not wait. */
      prefill?: Record<string, Json>;
      /** A question that is not answered ahead is refused instead of asked. */
      prefill_only?: boolean;
      /** Who starts it, as it is told of the play; at most 64 characters. Default: `rpc`, or `flow` for a child play. */
      origin?: string | null;
    };
    result: Play;
  };
  /** The record of a play, without its spans. */
  play_get: {
    params: {
      play_sid: PlaySid;
    };
    result: Play;
  };
  /** The short form of a play: status, cause, times. */
  play_status: {
    params: {
      play_sid: PlaySid;
    };
    result: PlayBrief;
  };
  /** The spans of a play in start order, each with its logs; a page at a time. */
  play_spans: {
    params: {
      play_sid: PlaySid;
      cursor?: string | null;
      limit?: number | null;
    };
    result: SpanPage;
  };
  /** Plays by status, workflow, time, parent or text, newest first; a page at a time, whole or in brief. */
  play_list: {
    params: {
      status?: PlayStatus | null;
      workflow_sid?: WorkflowSid | null;
      parent_play_sid?: PlaySid | null;
      /** Only plays created at this time or later, epoch ms. */
      created_from?: EpochMs | null;
      /** Only plays created before this time, epoch ms. */
      created_before?: EpochMs | null;
      cursor?: string | null;
      limit?: number | null;
      /** Only plays that have one of these; none: whatever they have. */
      statuses?: PlayStatus[];
      /**
       * Only plays with this text, in whatever case, in the workflow's name, the flow's name or the cause's message, or
       * at the beginning of their sid.
       */
      query?: string | null;
      /** Only plays that no other play has started. */
      top_level?: boolean;
      /** Summaries instead of whole records. */
      brief?: boolean;
    };
    result: Page;
  };
  /** Cancels a play and everything under it. */
  play_cancel: {
    params: {
      play_sid: PlaySid;
      /** Between SIGTERM and SIGKILL, milliseconds; 0 kills at once. Default: the server's grace. */
      grace_ms?: number | null;
    };
    result: Play;
  };
  /** Runs an ended play again, as a new play with the same version and input, which reuses the steps that were kept; returns the new one. */
  play_retry: {
    params: {
      play_sid: PlaySid;
      from?: RetryFrom;
      /** As of a play that is started. */
      origin?: string | null;
    };
    result: Play;
  };
  /** A new play that reuses the durable steps of another, up to a point, on another version or with another input; returns it. */
  play_fork: {
    params: {
      play_sid: PlaySid;
      /** Only what had come to its end when this span began is reused. Default: all that was kept. */
      from_span_id?: string | null;
      /** Another version of the same workflow. Default: the play's own. */
      version_sid?: VersionSid | null;
      /** Default: the play's own. */
      input_data?: InputData | null;
      /** As of a play that is started. */
      origin?: string | null;
    };
    result: Play;
  };
  /** What a fork on this version would make of each durable step of a play, in start order. */
  play_resume_preview: {
    params: {
      play_sid: PlaySid;
      /** Default: the play's own. */
      version_sid?: VersionSid | null;
      /** As for `play_fork`. */
      from_span_id?: string | null;
    };
    result: StepPreview[];
  };
  /** The questions that a play waits with, oldest first. */
  play_pending_resumes: {
    params: {
      play_sid: PlaySid;
    };
    result: PendingResume[];
  };
  /** Answers a question of a play; an answer that does not fit its schema leaves it open. */
  play_resume: {
    params: {
      play_sid: PlaySid;
      /** The `id` of a question of `play_pending_resumes`. */
      resume_id: string;
      /** The answer: any JSON value that fits the question's schema. */
      payload: Json;
    };
    result: PlayBrief;
  };
  /** Hands a signal to what a play waits for by this name; one that comes early is kept. */
  play_signal: {
    params: {
      play_sid: PlaySid;
      name: string;
      /** Any JSON value; null without it. */
      payload?: Json;
    };
    result: PlayBrief;
  };
  /** A span of a play, and how much it has logged. */
  span_get: {
    params: {
      play_sid: PlaySid;
      span_id: SpanId;
    };
    result: SpanDetail;
  };
  /** Some rows of a play's tree where only some spans are open, with sums of what is below the closed ones: for plays of any size. */
  play_window: {
    params: {
      play_sid: PlaySid;
      /** The spans whose children are seen; all others are closed. */
      open: SpanId[];
      /** Counted from 0, among those that are seen. */
      first_row: number;
      rows: number;
      /** The time that is seen: milliseconds since the play was created. */
      from_ms: number;
      to_ms: number;
      /** Into how many columns that time is divided. */
      pixels: number;
      /** A span that is to be seen, wherever it is. */
      reveal?: Reveal | null;
    };
    result: SpanWindow;
  };
  /** The logs of a play, of a span, or of a span and all below it, in the order in which they were written; a page at a time. */
  play_logs: {
    params: {
      play_sid: PlaySid;
      /** Only those of this span. */
      span_id?: SpanId | null;
      /** With `span_id`: those of the spans below it, too. */
      below?: boolean;
      /** Only those that contain this, without regard to case. */
      query?: string | null;
      stream?: LogStream | null;
      cursor?: string | null;
      limit?: number | null;
      /** The latest first. */
      backwards?: boolean;
    };
    result: LogPage;
  };
  /** The spans of a play whose name, tags, error or logs contain a text, in start order. */
  play_find: {
    params: {
      play_sid: PlaySid;
      query: string;
      limit?: number | null;
    };
    result: SpanMatch[];
  };
  /** The files that a play left in its working directory. */
  artifact_list: {
    params: {
      play_sid: PlaySid;
    };
    result: Artifact[];
  };
  /** What a Python source holds: its flows, or why it is no Python. Nothing of it is run or kept. */
  source_check: {
    params: {
      python_source: string;
    };
    result: SourceReport;
  };
  /** A new workflow with its first version: Python source, or nodes and edges. */
  workflow_create: {
    params: {
      name: string;
      description?: string;
      tags?: string[];
      python_source?: string;
      nodes?: Node[];
      edges?: Edge[];
      inputs?: Json;
      outputs?: Json;
      /** The author's file, for tracebacks and for the modules beside it. */
      source_file?: string | null;
      /** Which flow of the source; default: the one named as the workflow, else the last one defined. */
      flow_name?: string | null;
    };
    result: Workflow;
  };
  /** The record of a workflow. */
  workflow_get: {
    params: {
      workflow_sid: WorkflowSid;
    };
    result: Workflow;
  };
  /** Workflows by name or tag, newest first; a page at a time. */
  workflow_list: {
    params: {
      /** Exactly this name. */
      name?: string | null;
      tag?: string | null;
      cursor?: string | null;
      limit?: number | null;
    };
    result: Page2;
  };
  /** Changes name, description or tags: what is given. */
  workflow_update: {
    params: {
      workflow_sid: WorkflowSid;
      name?: string | null;
      description?: string | null;
      tags?: string[] | null;
    };
    result: Workflow;
  };
  /** Takes a workflow out of the library; its plays stay. */
  workflow_delete: {
    params: {
      workflow_sid: WorkflowSid;
    };
    result: Workflow;
  };
  /** A further version of a workflow, current from now on unless set_current is false. */
  workflow_version_add: {
    params: {
      workflow_sid: WorkflowSid;
      python_source?: string;
      nodes?: Node[];
      edges?: Edge[];
      inputs?: Json;
      outputs?: Json;
      /** The author's file, for tracebacks and for the modules beside it. */
      source_file?: string | null;
      /** Which flow of the source; default: the one named as the workflow, else the last one defined. */
      flow_name?: string | null;
      /** Whether plays use it from now on. */
      set_current?: boolean;
    };
    result: WorkflowVersion;
  };
  /** The record of a version, with its source. */
  workflow_version_get: {
    params: {
      version_sid: VersionSid;
    };
    result: WorkflowVersion;
  };
  /** The versions of a workflow, newest first; a page at a time. */
  workflow_version_list: {
    params: {
      workflow_sid: WorkflowSid;
      cursor?: string | null;
      limit?: number | null;
    };
    result: Page3;
  };
  /** Makes a version the one that plays use from now on. */
  workflow_version_set_current: {
    params: {
      workflow_sid: WorkflowSid;
      version_sid: VersionSid;
    };
    result: Workflow;
  };
  /** How many plays have which status, altogether and over time. */
  play_overview: {
    params: {
      /** Only plays that have one of these; none: whatever they have. */
      statuses?: PlayStatus[];
      workflow_sid?: WorkflowSid | null;
      query?: string | null;
      /** Only plays that no other play has started. */
      top_level?: boolean;
      /**
       * Only plays created at this time or later, epoch ms; here the first stretch begins. Default: where the oldest of
       * the plays was created.
       */
      created_from?: EpochMs | null;
      /** Only plays created before this time, epoch ms; here the last stretch ends. Default: now. */
      created_before?: EpochMs | null;
      /** Into how many stretches the time is divided: 60 by default, at most 1,000. */
      buckets?: number | null;
      parent_play_sid?: PlaySid | null;
    };
    result: Overview;
  };
  /** The open questions of all plays, oldest first; a page at a time. */
  question_list: {
    params: {
      cursor?: string | null;
      limit?: number | null;
    };
    result: Page4;
  };
  /** What the server does just now, and did in the last minute. */
  server_status: {
    params: Record<string, never>;
    result: ServerStatus;
  };
  /** How the plays of a workflow ended and how long they took, altogether and over time. */
  workflow_stats: {
    params: {
      workflow_sid: WorkflowSid;
      /** Only plays created at this time or later, epoch ms. Default: all. */
      from_ms?: EpochMs | null;
      /** As of `play_overview`. */
      buckets?: number | null;
    };
    result: WorkflowStats;
  };
  /** Who answers: version, data directory, load. */
  server_info: {
    params: Record<string, never>;
    result: ServerInfo;
  };
  /** Whether plays can run here, and whether what is kept is safe: each thing that was looked at. */
  server_doctor: {
    params: Record<string, never>;
    result: Diagnosis;
  };
  /** Deletes ended plays that are beyond what is kept, oldest first; with dry_run, only tells which. */
  prune: {
    params: {
      /** Tell only what would be deleted. */
      dry_run?: boolean;
      /** Keep plays that ended less than so long ago, milliseconds. */
      retain_age_ms?: number | null;
      /** Keep at most so many ended plays. */
      retain_plays?: number | null;
      /** Keep at most so many bytes, store and artifacts together. */
      retain_bytes?: number | null;
    };
    result: PruneReport;
  };
  /** Describes every method: an OpenRPC document. */
  "rpc.discover": {
    params: Record<string, never>;
    result: OpenRpcDocument;
  };
}
