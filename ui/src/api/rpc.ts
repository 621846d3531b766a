// JSON-RPC over POST /rpc. A refusal is a `CallError`; a 401 waits for the person's token and tries again.

import { clock } from "../lib/clock.svelte";
import { auth } from "./auth.svelte";
import { connection } from "./connection.svelte";
import { CallError, fromBody, fromWire, messageOf } from "./error";
import type { Methods } from "./generated";

export type Method = keyof Methods;
export type Params<M extends Method> = Methods[M]["params"];
export type Result<M extends Method> = Methods[M]["result"];

interface Answer {
  id: number | null;
  result?: unknown;
  error?: Parameters<typeof fromWire>[0];
}

/** The server takes batches of 1,000; smaller ones answer sooner. */
const LARGEST_BATCH = 200;

let lastId = 0;

function request(method: Method, params: unknown) {
  return { jsonrpc: "2.0", id: ++lastId, method, params };
}

async function post(body: unknown, signal?: AbortSignal): Promise<unknown> {
  for (;;) {
    const tried = auth.token;
    let answer: Response;
    let text: string;
    try {
      answer = await fetch("/rpc", {
        method: "POST",
        headers: { "Content-Type": "application/json", ...auth.headers() },
        body: JSON.stringify(body),
        signal: signal ?? null,
      });
      text = await answer.text();
    } catch (error) {
      if (signal?.aborted) throw error;
      connection.failed();
      throw new CallError("unreachable", `The server can't be reached: ${messageOf(error)}.`);
    }
    clock.learn(answer.headers.get("date"));
    if (answer.status === 401) {
      await auth.tokenAfterRefusal(tried);
      continue;
    }
    if (answer.status >= 502 && answer.status <= 504) connection.failed();
    else connection.reached();
    if (!answer.ok) throw fromBody(answer.status, text);
    return JSON.parse(text);
  }
}

/** One call. */
export async function call<M extends Method>(
  method: M,
  params: Params<M>,
  signal?: AbortSignal,
): Promise<Result<M>> {
  const answer = (await post(request(method, params), signal)) as Answer;
  if (answer.error) throw fromWire(answer.error);
  return answer.result as Result<M>;
}

/** The same method for many parameters, in batches; a refusal of one is an error in its place. */
export async function callEach<M extends Method>(
  method: M,
  each: Params<M>[],
): Promise<(Result<M> | CallError)[]> {
  const results: (Result<M> | CallError)[] = [];
  for (let from = 0; from < each.length; from += LARGEST_BATCH) {
    const batch = each.slice(from, from + LARGEST_BATCH).map((params) => request(method, params));
    const answers = (await post(batch)) as Answer[];
    for (const answer of answers) {
      results.push(answer.error ? fromWire(answer.error) : (answer.result as Result<M>));
    }
  }
  return results;
}
