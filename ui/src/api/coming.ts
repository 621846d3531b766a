// Methods that this tree's server does not have yet. What `rpc.discover` tells is in generated.ts; an entry here goes as soon
// as it is there.

import type { LogStream, PlaySid, SpanId } from "./generated";
import type { Artifact, LogPage, Match, SourceReport, SpanBody, SpanWindow } from "./records";

export interface ComingMethods {
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
  play_find: { params: { play_sid: PlaySid; query: string; limit?: number; in?: Match["in"][] }; result: Match[] };
  play_window: {
    params: {
      play_sid: PlaySid;
      open: SpanId[];
      reveal?: SpanId | null;
      first_row: number;
      rows: number;
      from_ms: number;
      to_ms: number;
      pixels: number;
    };
    result: SpanWindow;
  };
  source_check: { params: { python_source: string }; result: SourceReport };
  artifact_list: { params: { play_sid: PlaySid }; result: Artifact[] };
}
