// What newer servers offer and the page already uses, made up from what today's server has. For development and
// measurements only: it shows what the page does with it, and nothing about how fast a server would be.

const STATUSES = ["running", "ok", "failed", "timed_out", "cancelled", "replayed"];
const KINDS = ["flow_root", "step", "rpc", "subflow", "other"];

export function additions(target) {
  const outlines = new Map();

  async function call(method, params, headers = {}) {
    const answer = await fetch(`${target()}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = await answer.json();
    if (error) throw Object.assign(new Error(error.message), { error });
    return result;
  }

  async function outline(sid) {
    if (outlines.has(sid)) return outlines.get(sid);
    const play = await call("play_get", { play_sid: sid });
    const spans = [];
    let cursor = null;
    do {
      const page = await call("play_spans", { play_sid: sid, cursor, limit: 10_000 });
      spans.push(...page.spans);
      cursor = page.next_cursor;
    } while (cursor !== null);
    const names = new Map();
    const ords = new Map(spans.map((span, ord) => [span.span_id, ord]));
    const ms = (time) => Math.round((time - play.created_at) * 1000) / 1000;
    const made = {
      play,
      seq: Number.MAX_SAFE_INTEGER,
      count: spans.length,
      ids: spans.map((span) => span.span_id),
      parent: spans.map((span) => ords.get(span.parent_id) ?? -1),
      name: spans.map(({ name }) => names.get(name) ?? (names.set(name, names.size), names.size - 1)),
      kind: spans.map((span) => KINDS.indexOf(span.kind)),
      status: spans.map((span) => STATUSES.indexOf(span.status)),
      start: spans.map((span) => ms(span.start_ms)),
      end: spans.map((span) => (span.end_ms === null ? -1 : ms(span.end_ms))),
      flags: spans.map(
        (span) =>
          (span.logs.length > 0 ? 1 : 0) + (Object.keys(span.tags).length > 0 ? 2 : 0) + (span.error ? 4 : 0) + (span.child_play_sid ? 8 : 0),
      ),
      names: [],
      child_plays: Object.fromEntries(spans.flatMap((span, ord) => (span.child_play_sid ? [[ord, span.child_play_sid]] : []))),
    };
    made.names = [...names.keys()];
    const ended = !["running", "pending", "awaiting_resume"].includes(play.status);
    const bytes = Buffer.from(JSON.stringify(made));
    // Of a play that goes on the next one would be another: it is not kept, and the page follows from the snapshot.
    if (ended) outlines.set(sid, bytes);
    return ended ? bytes : null;
  }

  return (request, response, url) => {
    const match = /^\/api\/plays\/([^/]+)\/outline$/.exec(url.pathname);
    if (!match) return false;
    outline(decodeURIComponent(match[1])).then(
      (bytes) => {
        if (bytes) response.writeHead(200, { "content-type": "application/json" }).end(bytes);
        else response.writeHead(404).end();
      },
      (problem) => {
        response.writeHead(404, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: problem.error ?? { code: -32603, message: String(problem), data: {} } }));
      },
    );
    return true;
  };
}
