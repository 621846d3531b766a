// JSON whose numbers stay what they were written as: 12345678901234567890, and 1.0 where 1 would be another type. Pure.

import type { Json } from "../api/generated";

/** Both are newer than what TypeScript knows (the proposal "JSON.parse source text access"). */
type WithSource = typeof JSON & { rawJSON?(text: string): unknown };
type Reviver = (this: unknown, key: string, value: unknown, context?: { source?: string }) => unknown;

/** A number that keeps the digits it was written with. */
export class ExactNumber {
  constructor(readonly text: string) {}

  toJSON(): unknown {
    return (JSON as WithSource).rawJSON?.(this.text) ?? Number(this.text);
  }
}

export type Value = Json | ExactNumber | Value[] | { [key: string]: Value };

/** Parses JSON; numbers that a double does not write the same way keep their digits, where the browser can tell them. */
export function parseJson(text: string): Value {
  if (!/\d{16}|\d\.\d{16}|\.\d*0(?!\d)|e[+-]?\d/i.test(text)) return JSON.parse(text) as Json;
  const keep: Reviver = (_key, value, context) => {
    if (typeof value !== "number" || context?.source === undefined) return value;
    return String(value) === context.source ? value : new ExactNumber(context.source);
  };
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown) as Value;
}
