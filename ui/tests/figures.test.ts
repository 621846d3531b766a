import { describe, expect, it } from "vitest";
import { figure, parseFigures, quantileOf, rate } from "../src/model/prometheus";
import { successShare } from "../src/views/library/stats";
import { litParts } from "../src/model/highlight";

const TEXT = `# HELP a_total Something.
# TYPE a_total counter
a_total{status="failed",cause="exception"} 3
a_total{status="success",cause=""} 10
b 4.5
c_bucket{le="0.1"} 5
c_bucket{le="1"} 9
c_bucket{le="+Inf"} 10
odd{text="a\\"b,c=\\\\d"} 1
`;

describe("figures", () => {
  it("are read with their labels", () => {
    const figures = parseFigures(TEXT);
    expect(figure(figures, "a_total")).toBe(13);
    expect(figure(figures, "a_total", { status: "failed" })).toBe(3);
    expect(figure(figures, "b")).toBe(4.5);
    expect(figure(figures, "nothing")).toBe(0);
    expect(figures.get("odd")![0]!.labels).toEqual({ text: 'a"b,c=\\d' });
  });

  it("tell rates and quantiles of the time between two readings", () => {
    const before = parseFigures(TEXT);
    const after = parseFigures(TEXT.replace('cause=""} 10', 'cause=""} 30').replace('"0.1"} 5', '"0.1"} 15').replace('"1"} 9', '"1"} 19').replace('"+Inf"} 10', '"+Inf"} 20'));
    expect(rate(before, after, 2, "a_total")).toBe(10);
    expect(rate(after, before, 1, "a_total")).toBe(13);
    expect(quantileOf(before, after, "c", 0.5)).toBeCloseTo(0.05);
    expect(quantileOf(before, before, "c", 0.5)).toBeNull();
  });
});

describe("how a flow does", () => {
  it("is the share of those that did not fail, of what ended by itself", () => {
    const none = { plays: 0, buckets: [], from_ms: 0, to_ms: 1, complete: true };
    expect(successShare({ ...none, plays: 4, success: 1, failed: 1, running: 1, cancelled: 1 })).toBe(0.5);
    expect(successShare({ ...none, success: 3, timed_out: 1 })).toBe(0.75);
    expect(successShare(none)).toBeNull();
  });
});

describe("what is lit", () => {
  it("is where the text has what was searched", () => {
    expect(litParts("Load, reload", "LOAD")).toEqual([
      { text: "Load", hit: true },
      { text: ", re", hit: false },
      { text: "load", hit: true },
    ]);
    expect(litParts("<b>", "b").map((part) => part.text).join("")).toBe("<b>");
    expect(litParts("İstanbul", "i")).toEqual([{ text: "İstanbul", hit: false }]);
  });
});
