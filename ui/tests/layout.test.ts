import { describe, expect, it } from "vitest";
import { criticalPath, criticalShares } from "../src/model/critical";
import { density } from "../src/model/density";
import { generated } from "../src/model/generate";
import { attemptStarts, Below, failureOrigins, Rows } from "../src/model/rows";
import { findByName, merged, neighbour } from "../src/model/search";
import { SpanStore } from "../src/model/store";
import { around, clamped, compressed, panned, tickStep, TimeMap, zoomed } from "../src/model/time";
import { FAILED, OK, REPLAYED, RUNNING, STEP } from "../src/model/words";

type Spec = [name: string, parent: number, start: number, end: number, status?: number];

function store(specs: Spec[]): SpanStore {
  const made = new SpanStore();
  const part = made.addPart("play", -1, 0, 3);
  specs.forEach(([name, parent, start, end, status = end === -1 ? RUNNING : OK], at) => {
    made.add(part, { id: `1.${at + 1}`, parent, name, kind: STEP, status, start, end, flags: 0 });
  });
  return made;
}

function shown(of: SpanStore, rows: Rows): string[] {
  rows.build(of);
  return Array.from(rows.order.subarray(0, rows.count), (ord) => of.nameOf(ord));
}

const TREE: Spec[] = [
  ["root", -1, 0, 100],
  ["a", 0, 0, 40],
  ["b", 0, 40, 100],
  ["a1", 1, 5, 20],
  ["a2", 1, 20, 40],
  ["b1", 2, 50, 90],
];

describe("rows", () => {
  it("are the tree in depth-first order", () => {
    const of = store(TREE);
    const rows = new Rows();
    rows.openFirst(of);
    expect(shown(of, rows)).toEqual(["root", "a", "a1", "a2", "b", "b1"]);
    expect(rows.rowOf[5]).toBe(5);
    expect(rows.rowOf[2]).toBe(4);
  });

  it("are without what is below a closed span", () => {
    const of = store(TREE);
    const rows = new Rows();
    rows.openFirst(of);
    rows.setOpen(1, false);
    expect(shown(of, rows)).toEqual(["root", "a", "b", "b1"]);
    expect(rows.rowOf[3]).toBe(-1);
    rows.setOpen(0, false);
    expect(shown(of, rows)).toEqual(["root"]);
  });

  it("reveal opens all that is around a span", () => {
    const of = store(TREE);
    const rows = new Rows();
    rows.setAll(of, false);
    expect(shown(of, rows)).toEqual(["root"]);
    expect(rows.reveal(of, 4)).toBe(true);
    expect(rows.reveal(of, 4)).toBe(false);
    expect(shown(of, rows)).toEqual(["root", "a", "a1", "a2", "b"]);
  });

  it("grow with spans that come, at their parent", () => {
    const of = store(TREE);
    const rows = new Rows();
    rows.openFirst(of);
    rows.build(of);
    of.add(0, { id: "1.7", parent: 1, name: "a3", kind: STEP, status: RUNNING, start: 41, end: -1, flags: 0 });
    expect(shown(of, rows)).toEqual(["root", "a", "a1", "a2", "a3", "b", "b1"]);
  });

  it("of a span without a parent hang under the root of its play", () => {
    const of = store(TREE);
    of.add(0, { id: "2.1", parent: -1, name: "second root", kind: STEP, status: OK, start: 200, end: 210, flags: 0 });
    const rows = new Rows();
    rows.openFirst(of);
    expect(shown(of, rows).at(-1)).toBe("second root");
    expect(of.depth[6]).toBe(1);
    expect(of.attempt[6]).toBe(2);
  });

  it("of steps that another play did are where they were reused, and not running", () => {
    const of = store([["root", -1, 0, 100], ["a", 0, 10, 40], ["reused", 0, -5_000, -4_000, REPLAYED]]);
    expect([of.start[2], of.end[2]]).toEqual([40, 40]);
    expect(of.running).toBe(0);
    of.add(0, { id: "2.1", parent: 0, name: "second attempt", kind: STEP, status: OK, start: 60, end: 90, flags: 0 });
    of.add(0, { id: "2.2", parent: 3, name: "reused", kind: STEP, status: REPLAYED, start: 10, end: 40, flags: 0 });
    expect([of.start[4], of.end[4]]).toEqual([60, 60]);
    expect(attemptStarts(of)).toEqual([60, -1]);
    of.add(0, { id: "1.9", parent: 2, name: "in it", kind: STEP, status: REPLAYED, start: -4_900, end: -4_800, flags: 0 });
    expect([of.start[5], of.end[5]]).toEqual([40, 40]);
  });

  it("of a child play hang under the span that started it", () => {
    const of = store(TREE);
    const child = of.addPart("child", 3, 1000, 1);
    of.add(child, { id: "1.1", parent: -1, name: "child root", kind: STEP, status: OK, start: 6, end: 9, flags: 0 });
    of.add(child, { id: "1.2", parent: of.find(child, "1.1"), name: "in it", kind: STEP, status: OK, start: 7, end: 8, flags: 0 });
    const rows = new Rows();
    rows.openFirst(of);
    expect(shown(of, rows)).toEqual(["root", "a", "a1", "child root", "in it", "a2", "b", "b1"]);
    expect(of.address(7)).toBe("child/1.2");
    expect(of.address(3)).toBe("1.4");
  });

  it("of a large play are a few thousand at first, and failures are among them", () => {
    const of = generated({ spans: 100_000 });
    const below = new Below();
    below.count(of);
    const origins = failureOrigins(of, below);
    expect(origins.length).toBeGreaterThan(10);
    const rows = new Rows();
    rows.openFirst(of, [origins[0]!]);
    rows.build(of);
    expect(rows.count).toBeLessThan(10_000);
    expect(rows.rowOf[origins[0]!]).toBeGreaterThanOrEqual(0);
    rows.setAll(of, true);
    rows.build(of);
    expect(rows.count).toBe(100_000);
    expect(new Set(rows.order.subarray(0, rows.count)).size).toBe(100_000);
  });
});

describe("what is below", () => {
  it("is counted", () => {
    const of = store([...TREE.slice(0, 5), ["b1", 2, 50, 90, FAILED], ["b2", 5, 60, -1]]);
    const below = new Below();
    below.count(of);
    expect([...below.spans.subarray(0, 7)]).toEqual([6, 2, 2, 0, 0, 1, 0]);
    expect(below.failed[0]).toBe(1);
    expect(below.failed[2]).toBe(1);
    expect(below.failed[5]).toBe(0);
    expect(below.running[5]).toBe(1);
  });

  it("tells where failures began", () => {
    const of = store([["root", -1, 0, 9, FAILED], ["a", 0, 1, 8, FAILED], ["b", 1, 2, 3, FAILED], ["c", 0, 4, 5]]);
    const below = new Below();
    below.count(of);
    expect([...failureOrigins(of, below)]).toEqual([2]);
  });
});

describe("the critical path", () => {
  it("goes backwards into what ended last", () => {
    const of = store(TREE);
    const path = criticalPath(of, 0, 100);
    const pieces = Array.from({ length: path.count }, (_, at) => [
      of.nameOf(path.ord[at]!),
      path.from[at],
      path.to[at],
    ]);
    expect(pieces).toEqual([
      ["b", 90, 100],
      ["b1", 50, 90],
      ["b", 40, 50],
      ["a2", 20, 40],
      ["a1", 5, 20],
      ["a", 0, 5],
    ]);
    expect([...path.on]).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it("leaves out what ran beside it", () => {
    const of = store([["root", -1, 0, 10], ["long", 0, 0, 10], ["short", 0, 2, 8]]);
    const path = criticalPath(of, 0, 10);
    expect([...path.on]).toEqual([1, 1, 0]);
  });

  it("adds up to the length of the root, whatever the play", () => {
    for (const seed of [1, 2, 3, 4]) {
      const of = generated({ spans: 3_000, seed, fan: 5 });
      const path = criticalPath(of, 0, 0);
      let sum = 0;
      for (let at = 0; at < path.count; at++) sum += path.to[at]! - path.from[at]!;
      expect(sum).toBeCloseTo(of.end[0]!, 3);
    }
  });

  it("takes what still runs as running until now, and cuts what outlives its parent", () => {
    const of = store([["root", -1, 0, -1], ["a", 0, 0, -1], ["late", 1, 30, 80]]);
    const path = criticalPath(of, 0, 60);
    expect(path.to[0]).toBe(60);
    expect(criticalShares(of, path)[0]).toMatchObject({ name: "late", ms: 30 });
  });
});

describe("time", () => {
  it("compresses where nothing starts or ends", () => {
    const of = store([["root", -1, 0, 10_000], ["a", 0, 0, 10], ["b", 0, 9_990, 10_000]]);
    const map = compressed(of, 10_000);
    expect(map.gaps).toHaveLength(1);
    expect(map.toShown(10)).toBe(10);
    expect(map.toShown(10_000)).toBeLessThan(100);
    for (const real of [0, 5, 10, 5_000, 9_990, 9_995, 10_000, 12_000]) {
      expect(map.toReal(map.toShown(real))).toBeCloseTo(real, 6);
    }
  });

  it("is untouched without gaps", () => {
    const map = new TimeMap();
    expect(map.toShown(42)).toBe(42);
    expect(map.toReal(42)).toBe(42);
  });

  it("zooms around the pointer and stays within the whole", () => {
    const window = zoomed({ from: 0, to: 100 }, 0.5, 25, 100);
    expect(window).toEqual({ from: 12.5, to: 62.5 });
    expect(zoomed(window, 100, 25, 100).to).toBeLessThanOrEqual(104);
    expect(panned({ from: 0, to: 10 }, 1_000, 100).to).toBeCloseTo(103);
    expect(panned({ from: 0, to: 10 }, -1_000, 100).from).toBeCloseTo(-3);
    expect(clamped({ from: 20, to: 30 }, 100)).toEqual({ from: 20, to: 30 });
    const near = around(50, 50, 100);
    expect(near.to - near.from).toBeGreaterThan(0);
  });

  it("has round ticks", () => {
    for (const [span, most] of [[1000, 10], [37, 7], [0.004, 8], [86_400_000, 12], [95_000, 9], [3_600_000, 6]] as const) {
      const step = tickStep(span, most);
      expect(span / step).toBeLessThanOrEqual(most + 0.01);
      expect(span / step).toBeGreaterThan(most / 6);
    }
    expect(tickStep(100, 10)).toBe(10);
    expect(tickStep(600_000, 10)).toBe(60_000);
  });
});

describe("search", () => {
  it("finds names without regard to case, in order, and goes round", () => {
    const of = store([["Load", -1, 0, 1], ["save", 0, 0, 1], ["reload", 0, 0, 1]]);
    const found = findByName(of, "LOAD");
    expect([...found]).toEqual([0, 2]);
    expect(neighbour(found, 0, 1)).toBe(2);
    expect(neighbour(found, 2, 1)).toBe(0);
    expect(neighbour(found, 0, -1)).toBe(2);
    expect(neighbour(new Int32Array(0), 0, 1)).toBe(-1);
    expect([...merged(found, Int32Array.of(1, 2))]).toEqual([0, 1, 2]);
  });
});

describe("density", () => {
  it("counts what is open in each column", () => {
    const of = store([["root", -1, 0, 100], ["a", 0, 0, 49], ["b", 0, 50, 99, FAILED]]);
    const seen = density(of, new TimeMap(), 100, 100, 4);
    expect([...seen.open]).toEqual([2, 2, 2, 2]);
    expect([...seen.failed]).toEqual([0, 0, 0, 1]);
    expect(seen.most).toBe(2);
  });
});
