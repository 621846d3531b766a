import { describe, expect, it } from "vitest";
import { figure, parseFigures, quantileOf, rate } from "../src/model/prometheus";
import { quantile, statsOf, successShare } from "../src/views/library/stats";
import { litParts } from "../src/model/highlight";
import type { BriefPlay } from "../src/api/coming";

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
  it("is counted from its plays", () => {
    const play = (status: BriefPlay["status"], created_at: number, duration_ms: number | null): BriefPlay => ({
      sid: "s", workflow_sid: "w", workflow_name: "w", version_sid: "v", parent_span_id: "", attempt: 1, status, created_at, duration_ms,
    });
    const stats = statsOf([play("success", 0, 10), play("failed", 50, 30), play("running", 99, null), play("cancelled", 99, 1)], 0, 100, 2);
    expect(stats).toMatchObject({ plays: 4, success: 1, failed: 1, running: 1, p50_ms: 10, p95_ms: 30 });
    expect(stats.buckets[1]).toMatchObject({ by_status: { failed: 1, running: 1, cancelled: 1 }, p50_ms: 30 });
    expect(successShare(stats)).toBe(0.5);
    expect(successShare({ plays: 0, buckets: [] })).toBeNull();
    expect(quantile([], 0.5)).toBeNull();
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
