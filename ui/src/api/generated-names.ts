// Names for records that the OpenRPC document has only within others.

import type { SpanWithLogs } from "./generated";

export type { Play } from "./generated";
export type Span = Omit<SpanWithLogs, "logs">;
