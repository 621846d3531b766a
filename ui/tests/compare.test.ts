import { describe, expect, it } from "vitest";
import { sumOf } from "../src/views/plays/timeline";
import { alignedPairs } from "../src/model/compare";
import { diffLines, hunks, jsonChanges } from "../src/model/diff";
import { placeOf, put, take } from "../src/model/play-list";
import { SpanStore } from "../src/model/store";
import { OK, STEP } from "../src/model/words";
import { filterFrom, fits, isFiltered, paramsOf } from "../src/views/plays/filter";
import type { BriefPlay } from "../src/api/records";

function applied(before: string, after: string): [string, string] {
  const lines = diffLines(before, after);
  const side = (kinds: string[]) => lines.filter((line) => kinds.includes(line.kind)).map((line) => line.text).join("\n");
  return [side(["same", "removed"]), side(["same", "added"])];
}

describe("the difference of two sources", () => {
  it("is the lines that were removed and added", () => {
    const lines = diffLines("a\nb\nc\nd", "a\nx\nc\nd\ne");
    expect(lines.map((line) => `${line.kind[0]} ${line.text}`)).toEqual(["s a", "r b", "a x", "s c", "s d", "a e"]);
    expect(lines.at(-1)).toMatchObject({ before: 0, after: 5 });
  });

  it("makes both texts again, whatever they are, and is short", () => {
    let state = 7;
    const random = (below: number) => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
    for (let round = 0; round < 300; round++) {
      const a = Array.from({ length: random(14) }, () => "xyz"[random(3)]).join("\n");
      const b = Array.from({ length: random(14) }, () => "xyz"[random(3)]).join("\n");
      expect(applied(a, b)).toEqual([a, b]);
    }
    const long = Array.from({ length: 400 }, (_, n) => `line ${n}`);
    const changed = [...long];
    changed.splice(100, 1);
    changed.splice(300, 0, "new");
    expect(diffLines(long.join("\n"), changed.join("\n")).filter((line) => line.kind !== "same")).toHaveLength(2);
  });

  it("is shown without what is far from it", () => {
    const before = Array.from({ length: 50 }, (_, n) => String(n)).join("\n");
    const shown = hunks(diffLines(before, before.replace("\n25\n", "\nx\n")), 2);
    expect(shown).toHaveLength(1);
    expect(shown[0]!.skipped).toBe(23);
    expect(shown[0]!.lines).toHaveLength(6);
    expect(hunks(diffLines("a", "a"))).toEqual([]);
  });
});

describe("the difference of two inputs", () => {
  it("is told by path", () => {
    expect(jsonChanges({ a: 1, b: [1, { c: 2 }], d: 0 }, { a: 1, b: [1, { c: 3 }], e: null })).toEqual([
      { path: "b[1].c", before: "2", after: "3" },
      { path: "d", before: "0", after: undefined },
      { path: "e", before: undefined, after: "null" },
    ]);
    expect(jsonChanges([1], { 0: 1 })).toHaveLength(1);
    expect(jsonChanges({ a: [] }, { a: [] })).toEqual([]);
  });
});

describe("two plays", () => {
  const store = (specs: [string, number][]) => {
    const made = new SpanStore();
    const part = made.addPart("p", -1, 0, 1);
    specs.forEach(([name, parent], at) => made.add(part, { id: `1.${at}`, parent, name, kind: STEP, status: OK, start: at, end: at + 1, flags: 0 }));
    return made;
  };

  it("are aligned by path, with what only one of them has", () => {
    const a = store([["root", -1], ["load", 0], ["step", 0], ["step", 0], ["save", 0]]);
    const b = store([["root", -1], ["load", 0], ["check", 0], ["step", 0], ["save", 0], ["x", 4]]);
    const pairs = alignedPairs(a, b).map((pair) => [pair.name, pair.depth, pair.a, pair.b]);
    expect(pairs).toEqual([
      ["root", 0, 0, 0],
      ["load", 1, 1, 1],
      ["check", 1, -1, 2],
      ["step", 1, 2, 3],
      ["step", 1, 3, -1],
      ["save", 1, 4, 4],
      ["x", 2, -1, 5],
    ]);
  });
});

describe("the list of plays", () => {
  const play = (sid: string, more: Partial<BriefPlay> = {}): BriefPlay => ({
    sid,
    workflow_sid: "w",
    workflow_name: "Hello",
    version_sid: "v",
    status: "success",
    parent_span_id: "", origin: "rpc",
    attempt: 1,
    created_at: 1000,
    ...more,
  });

  it("is newest first, each play once", () => {
    const list: BriefPlay[] = [];
    for (const sid of ["b", "d", "a", "c", "b"]) put(list, play(sid));
    expect(list.map((one) => one.sid)).toEqual(["d", "c", "b", "a"]);
    expect(placeOf(list, "c")).toBe(1);
    expect(take(list, "c")).toBe(true);
    expect(take(list, "c")).toBe(false);
    expect(list).toHaveLength(3);
  });

  it("is filtered as its address says", () => {
    const filter = filterFrom(new URLSearchParams("status=failed,nonsense&q=INK&last=500&flow=w"));
    expect(filter.statuses).toEqual(["failed"]);
    expect(isFiltered(filter)).toBe(true);
    expect(paramsOf(filter, 1_200)).toEqual({ top_level: true, statuses: ["failed"], workflow_sid: "w", query: "INK", created_from: 700 });
    const failed = play("a", { status: "failed", cause: { kind: "exception", message: "no price for ink" } });
    expect(fits(filter, failed, 1_200)).toBe(true);
    expect(fits(filter, failed, 1_600)).toBe(false);
    expect(fits(filter, { ...failed, status: "success" }, 1_200)).toBe(false);
    expect(fits(filter, { ...failed, parent_play_sid: "p" }, 1_200)).toBe(false);
    expect(isFiltered(filterFrom(new URLSearchParams("children=1")))).toBe(false);
  });

  it("is counted over time", () => {
    expect(sumOf({ success: 2, failed: 1 })).toBe(3);
    expect(sumOf({})).toBe(0);
  });
});
