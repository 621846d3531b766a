import type { ErrorKind, Json } from "./generated";

/** What a call can fail with: a word of the server, or one of this page's own. */
export type FailureKind = ErrorKind | "unreachable" | "http";

/** A call that did not give a result. `message` is a sentence for the person in front of the page. */
export class CallError extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly data: Record<string, Json> = {},
  ) {
    super(message);
    this.name = "CallError";
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface WireError {
  code: number;
  message: string;
  data?: { kind?: ErrorKind } & Record<string, Json>;
}

export function fromWire(error: WireError): CallError {
  return new CallError(error.data?.kind ?? "internal", error.message, error.data ?? {});
}

/** The error object in the body of a refusal, if it has one. */
export function fromBody(status: number, text: string): CallError {
  try {
    const body = JSON.parse(text) as { error?: WireError };
    if (body.error) return fromWire(body.error);
  } catch {
    // No JSON: something in between answered, not hero_logic.
  }
  return new CallError("http", `The server answered with HTTP status ${status}.`);
}
