import { describe, expect, it } from "vitest";
import type { LogPiece, Outline, SpanBody } from "../src/api/records";
import { applySpan } from "../src/feed/apply";
import { LogSeam } from "../src/feed/logs-of";
import { addOutline } from "../src/feed/outline";
import { SpanStore } from "../src/model/store";
import { HAS_CHILD_PLAY, HAS_ERROR, HAS_TAGS, RUNNING } from "../src/model/words";

const body = (span_id: string, parent_id: string, more: Partial<SpanBody> = {}): SpanBody => ({
  span_id, parent_id, name: span_id, kind: "step", status: "ok", start_ms: 1_010, end_ms: 1_020, tags: {}, ...more,
});

const OUTLINE: Outline = {
  play: {} as never,
  seq: 7,
  count: 3,
  names: ["flow", "step"],
  ids: ["1.1", "1.2", "1.3"],
  parent: [-1, 0, 1],
  name: [0, 1, 1],
  kind: [0, 1, 1],
  status: [0, 1, 0],
  start: [0, 10, 20.5],
  end: [-1, 20, -1],
  flags: [0, 2, 8],
  child_plays: { 2: "child" },
};

describe("spans that come", () => {
  it("are added under their parent, and brought up to date", () => {
    const store = new SpanStore();
    const part = store.addPart("play", -1, 0, 1);
    applySpan(store, part, body("1.1", "", { status: "running", end_ms: null }), 1_000);
    const ord = applySpan(store, part, body("1.2", "1.1", { status: "running", end_ms: null, tags: { a: 1 } }), 1_000);
    expect([store.parent[ord], store.start[ord], store.end[ord], store.running]).toEqual([0, 10, -1, 2]);
    expect(applySpan(store, part, body("1.2", "1.1", { status: "failed", error: "no", child_play_sid: "c" }), 1_000)).toBe(ord);
    expect([store.count, store.end[ord], store.running]).toEqual([2, 20, 1]);
    expect(store.flags[ord]).toBe(HAS_TAGS | HAS_ERROR | HAS_CHILD_PLAY);
    expect(store.childPlays.get(ord)).toBe("c");
    // A parent that never started: under the root.
    expect(store.parent[applySpan(store, part, body("1.9", "unknown"), 1_000)]).toBe(0);
  });

  it("of an outline are all there at once, and what the stream tells then goes over them", () => {
    const store = new SpanStore();
    const part = store.addPart("play", -1, 0, 1);
    addOutline(store, part, OUTLINE);
    expect(store.count).toBe(3);
    expect([...store.depth.subarray(0, 3)]).toEqual([0, 1, 2]);
    expect(store.childPlays.get(2)).toBe("child");
    expect(store.running).toBe(2);
    expect(applySpan(store, part, body("1.3", "1.2", { start_ms: 1_020.5, end_ms: 1_050 }), 1_000)).toBe(2);
    expect([store.end[2], store.running, store.count]).toEqual([50, 1, 3]);
    expect(store.status[0]).toBe(RUNNING);
    expect(applySpan(store, part, body("1.4", "1.3"), 1_000)).toBe(3);
    expect(store.find(part, "1.4")).toBe(3);
  });

  it("of a child play are in the time of the play that is shown", () => {
    const store = new SpanStore();
    store.addPart("play", -1, 0, 1);
    applySpan(store, 0, body("1.1", ""), 1_000);
    const part = store.addPart("child", 0, 500, 1);
    addOutline(store, part, OUTLINE);
    expect([store.start[1], store.start[2], store.end[2]]).toEqual([500, 510, 520]);
    expect([store.parent[1], store.depth[3]]).toEqual([0, 3]);
    expect(store.find(part, "1.2")).toBe(2);
    expect(store.find(0, "1.2")).toBe(-1);
  });
});

describe("logs", () => {
  const piece = (seq: number): LogPiece => ({ seq, span_id: "1.1", ts_ms: 0, stream: "stdout", text: `${seq}` });

  it("that come while pages are read are told after them, each once", () => {
    const told: number[] = [];
    const ends: boolean[] = [];
    const seam = new LogSeam((pieces, done) => (told.push(...pieces.map((one) => one.seq)), ends.push(done)));
    seam.page([piece(1), piece(2)], false);
    seam.live([piece(4)]);
    seam.live([piece(5)]);
    // The last page was read after 4 came, and before 5.
    seam.page([piece(3), piece(4)], true);
    seam.live([piece(5)]);
    seam.live([piece(6)]);
    expect(told).toEqual([1, 2, 3, 4, 5, 6]);
    expect(ends).toEqual([false, true, true, true]);
  });
});
