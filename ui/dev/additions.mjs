// What newer servers offer and the page already uses, made up from what today's server has. For development and
// measurements only: it shows what the page does with it, and nothing about how fast a server would be.

const STATUSES = ["running", "ok", "failed", "timed_out", "cancelled", "replayed"];
const KINDS = ["flow_root", "step", "rpc", "subflow", "other"];
/** From the best to the worst. */
const RANK = [2, 0, 4, 3, 1, 0];

export function additions(target, { largest = Infinity, plays = 0 } = {}) {
  const outlines = new Map();

  async function call(method, params) {
    const answer = await fetch(`${target()}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = await answer.json();
    if (error) throw Object.assign(new Error(error.message), { error });
    return result;
  }

  async function makeOutline(sid) {
    const play = await call("play_get", { play_sid: sid });
    const spans = [];
    let cursor = null;
    do {
      const page = await call("play_spans", { play_sid: sid, cursor, limit: 10_000 });
      for (const span of page.spans) spans.push(span);
      cursor = page.next_cursor;
    } while (cursor !== null);
    const names = new Map();
    const ords = new Map(spans.map((span, ord) => [span.span_id, ord]));
    const ms = (time) => Math.round((time - play.created_at) * 1000) / 1000;
    const outline = {
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
    outline.names = [...names.keys()];
    const ended = !["running", "pending", "awaiting_resume"].includes(play.status);
    return { outline, ended, tree: treeOf(outline), bytes: Buffer.from(JSON.stringify(outline)) };
  }

  async function outlineOf(sid) {
    const known = outlines.get(sid);
    if (known) return known;
    const made = await makeOutline(sid);
    if (made.ended) outlines.set(sid, made);
    return made;
  }

  function refuse(response, status, error) {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error }));
  }

  function answerOutline(response, sid) {
    outlineOf(sid).then(
      ({ outline, ended, bytes }) => {
        if (outline.count > largest) {
          refuse(response, 413, { code: -32005, message: "this play has too many spans for an outline", data: { kind: "too_large", sid } });
        } else if (ended) response.writeHead(200, { "content-type": "application/json" }).end(bytes);
        // Of a play that goes on nothing is kept: the page follows from the snapshot.
        else response.writeHead(404).end();
      },
      (problem) => refuse(response, 404, problem.error ?? { code: -32603, message: String(problem), data: {} }),
    );
  }

  const made = {
    async play_window(params) {
      const { outline, tree } = await outlineOf(params.play_sid);
      return windowOf(outline, tree, params);
    },
    async span_get({ play_sid, span_id }) {
      const { outline } = await outlineOf(play_sid);
      const at = outline.ids.indexOf(span_id);
      return {
        span_id,
        parent_id: outline.ids[outline.parent[at]] ?? "",
        name: outline.names[outline.name[at]],
        kind: KINDS[outline.kind[at]],
        status: STATUSES[outline.status[at]],
        start_ms: outline.play.created_at + outline.start[at],
        end_ms: outline.play.created_at + outline.end[at],
        tags: {},
      };
    },
  };
  if (plays > 0) Object.assign(made, madeUpPlays(plays));

  return (request, response, url) => {
    const match = /^\/api\/plays\/([^/]+)\/outline$/.exec(url.pathname);
    if (match) {
      answerOutline(response, decodeURIComponent(match[1]));
      return true;
    }
    if (url.pathname !== "/rpc") return false;
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", async () => {
      const body = JSON.parse(Buffer.concat(pieces).toString());
      response.setHeader("content-type", "application/json");
      try {
        if (!Array.isArray(body) && made[body.method]) {
          response.end(JSON.stringify({ jsonrpc: "2.0", id: body.id, result: await made[body.method](body.params) }));
        } else {
          const answer = await fetch(`${target()}/rpc`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
          response.end(await answer.text());
        }
      } catch {
        response.writeHead(502).end();
      }
    });
    return true;
  };
}

/** Depth-first places, so that what is below a span is a stretch. */
function treeOf({ count, parent }) {
  const children = Array.from({ length: count }, () => null);
  const roots = [];
  for (let ord = 0; ord < count; ord++) {
    if (parent[ord] < 0) roots.push(ord);
    else (children[parent[ord]] ??= []).push(ord);
  }
  const order = new Int32Array(count);
  const below = new Int32Array(count);
  const place = new Int32Array(count);
  const depth = new Int32Array(count);
  let next = 0;
  const stack = [...roots].reverse();
  while (stack.length > 0) {
    const ord = stack.pop();
    place[ord] = next;
    order[next++] = ord;
    if (parent[ord] >= 0) depth[ord] = depth[parent[ord]] + 1;
    for (const child of [...(children[ord] ?? [])].reverse()) stack.push(child);
  }
  for (let at = count - 1; at >= 0; at--) if (parent[order[at]] >= 0) below[parent[order[at]]] += below[order[at]] + 1;
  return { children, roots, order, below, place, depth };
}

function windowOf(outline, tree, { open, first_row, rows, from_ms, to_ms, pixels }) {
  const opened = new Set(open);
  const shown = [];
  let total = 0;
  const stack = [...tree.roots].reverse();
  while (stack.length > 0) {
    const ord = stack.pop();
    if (total >= first_row && shown.length < rows) shown.push(ord);
    total += 1;
    if (opened.has(outline.ids[ord])) for (const child of [...(tree.children[ord] ?? [])].reverse()) stack.push(child);
  }
  const scale = pixels / (to_ms - from_ms);
  return {
    seq: outline.seq,
    total_rows: total,
    rows: shown.map((ord) => {
      const row = {
        span_id: outline.ids[ord],
        depth: tree.depth[ord],
        name: outline.names[outline.name[ord]],
        status: STATUSES[outline.status[ord]],
        kind: KINDS[outline.kind[ord]],
        start: outline.start[ord],
        end: outline.end[ord],
        children: tree.children[ord]?.length ?? 0,
        descendants: tree.below[ord],
        failed: 0,
      };
      const worst = new Int8Array(pixels).fill(-1);
      for (let at = tree.place[ord] + 1; at <= tree.place[ord] + tree.below[ord]; at++) {
        const one = tree.order[at];
        const status = outline.status[one];
        if (status === 2 || status === 3) row.failed += 1;
        const from = Math.max(0, Math.floor((outline.start[one] - from_ms) * scale));
        const to = Math.min(pixels - 1, Math.floor((outline.end[one] - from_ms) * scale));
        for (let column = from; column <= to; column++) {
          if (worst[column] < 0 || RANK[status] > RANK[worst[column]]) worst[column] = status;
        }
      }
      if (row.children > 0 && !opened.has(row.span_id)) {
        row.buckets = Array.from(worst, (status) => ({ status: STATUSES[Math.max(0, status)], coverage: status < 0 ? 0 : 1 }));
      }
      return row;
    }),
  };
}

/** A list of plays that were never run, newest first. */
function madeUpPlays(count) {
  const now = Date.now();
  const statuses = ["success", "success", "success", "success", "failed", "cancelled", "timed_out"];
  const all = Array.from({ length: count }, (_, at) => {
    const status = statuses[(at * 7919) % statuses.length];
    const created = now - at * 3_000;
    const length = ((at * 104_729) % 90_000) + 5;
    return {
      sid: `01900000-0000-7000-8000-${String(count - at).padStart(12, "0")}`,
      workflow_sid: "w",
      workflow_name: `flow_${(at * 31) % 40}`,
      version_sid: "v",
      status,
      cause: status === "failed" ? { kind: "exception", message: `ValueError: row ${at} has no price` } : null,
      parent_span_id: "",
      attempt: 1,
      created_at: created,
      started_at: created,
      completed_at: created + length,
      duration_ms: length,
      origin: "rpc",
    };
  });
  const fit = ({ statuses: wanted, query }) =>
    all.filter((play) => (!wanted?.length || wanted.includes(play.status)) && (!query || play.workflow_name.includes(query)));
  return {
    async play_list(params) {
      const found = fit(params);
      const from = Number(params.cursor ?? 0);
      const to = from + (params.limit ?? 1_000);
      return { items: found.slice(from, to), next_cursor: to < found.length ? String(to) : null };
    },
    async play_overview(params) {
      const found = fit(params);
      const buckets = params.buckets ?? 60;
      const from = all[all.length - 1].created_at;
      const made = { total: found.length, by_status: {}, from_ms: from, to_ms: now, buckets: [] };
      for (let at = 0; at < buckets; at++) made.buckets.push({ start_ms: from + ((now - from) * at) / buckets, by_status: {} });
      for (const play of found) {
        const bucket = made.buckets[Math.min(buckets - 1, Math.floor(((play.created_at - from) / (now - from)) * buckets))].by_status;
        for (const counts of [made.by_status, bucket]) counts[play.status] = (counts[play.status] ?? 0) + 1;
      }
      return made;
    },
  };
}
