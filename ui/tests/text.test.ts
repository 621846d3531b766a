import { describe, expect, it } from "vitest";
import { EventStreamParser, type ServerEvent } from "../src/api/sse-parser";
import { axisTime } from "../src/canvas/axis";
import { ago, bytes, duration, exact, percent } from "../src/lib/format";
import { matchRoute, playPath } from "../src/lib/routes";
import { pieces, plainText } from "../src/model/ansi";
import { ExactNumber, parseJson } from "../src/model/json";
import { firstOpen, jsonRows } from "../src/model/json-rows";
import { LogLines, LONGEST_LINE } from "../src/model/log-lines";
import { pythonLines } from "../src/model/python-tokens";
import { tracebackParts } from "../src/model/traceback";

describe("log lines", () => {
  const linesOf = (...texts: [text: string, stream?: "log" | "stdout" | "stderr", span?: string][]) => {
    const lines = new LogLines();
    texts.forEach(([text, stream = "stdout", span_id = "1.1"], ts_ms) => lines.add({ seq: ts_ms + 1, text, stream, span_id, ts_ms }));
    return lines.lines.map((line) => line.text);
  };

  it("join pieces until a newline, each stream and span by itself", () => {
    expect(linesOf(["on"], ["e\ntwo\nth"], ["err\n", "stderr"], ["ree\n"])).toEqual(["one", "two", "three", "err"]);
    expect(linesOf(["a", "stdout", "1.1"], ["b", "stdout", "1.2"], ["c\n", "stdout", "1.1"])).toEqual(["ac", "b"]);
  });

  it("keep the last state of what was overwritten", () => {
    expect(linesOf(["10 %\r20 %\r"], ["30 %\r100 %\ndone\n"])).toEqual(["100 %", "done"]);
    expect(linesOf(["line\r\nnext\r\n"])).toEqual(["line", "next"]);
  });

  it("end with each log call, newline or not", () => {
    expect(linesOf(["one", "log"], ["two", "log"])).toEqual(["one", "two"]);
  });

  it("are cut where they are very long", () => {
    const [line] = linesOf([`${"x".repeat(LONGEST_LINE + 5)}\n`]);
    expect(line!.endsWith("… (5 more characters)")).toBe(true);
  });
});

describe("terminal colours", () => {
  it("become pieces with a look", () => {
    expect(pieces("a \x1b[1;31mred\x1b[0m b")).toEqual([
      { text: "a ", look: "" },
      { text: "red", look: "fg1 bold" },
      { text: " b", look: "" },
    ]);
    expect(pieces("\x1b[38;5;196mx\x1b[39my\x1b[38;2;0;200;0mz")).toEqual([
      { text: "x", look: "fg9" },
      { text: "y", look: "" },
      { text: "z", look: "fg2" },
    ]);
  });

  it("and nothing else that a terminal obeys is left", () => {
    expect(pieces("\x1b]0;title\x07a\x1b[2Kb\x1b[3Ac\x00")).toEqual([
      { text: "a", look: "" },
      { text: "b", look: "" },
      { text: "c", look: "" },
    ]);
    expect(plainText("\x1b[32mok\x1b[0m")).toBe("ok");
    expect(pieces("<b>\x1b[31m<script>")[1]!.text).toBe("<script>");
  });
});

describe("Python source", () => {
  it("is coloured line by line, strings over several lines too", () => {
    const lines = pythonLines('@flow\ndef hello(name="x"):  # hi\n    """a\n    b"""\n    return 12');
    expect(lines[0]).toEqual([{ text: "@flow", kind: "decorator" }]);
    expect(lines[1]!.map((token) => token.kind)).toEqual(["keyword", "plain", "name", "plain", "string", "plain", "comment"]);
    expect(lines[2]!.at(-1)).toEqual({ text: '"""a', kind: "string" });
    expect(lines[3]![0]).toEqual({ text: '    b"""', kind: "string" });
    expect(lines[4]!.at(-1)).toEqual({ text: "12", kind: "number" });
  });

  it("loses no letter", () => {
    const source = "x = f'{a!r} \\' b' if ü else 'open\ny = \"\"\"\n'''\nz\\\"\"\"\"\n";
    expect(pythonLines(source).map((line) => line.map((token) => token.text).join("")).join("\n")).toBe(source);
  });
});

describe("tracebacks", () => {
  it("are frames, texts and errors", () => {
    const parts = tracebackParts(
      'Traceback (most recent call last):\n  File "/a/b.py", line 42, in price\n    return float(text)\n           ^^^^^\nValueError: no\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File "/a/b.py", line 26, in f\n    return bill(lines)\nb.BadOrder: order\n',
    );
    expect(parts.filter((part) => part.kind === "frame")).toEqual([
      { kind: "frame", file: "/a/b.py", line: 42, function: "price", code: ["return float(text)", "       ^^^^^"] },
      { kind: "frame", file: "/a/b.py", line: 26, function: "f", code: ["return bill(lines)"] },
    ]);
    expect(parts.at(-1)).toEqual({ kind: "error", text: "b.BadOrder: order" });
  });
});

describe("JSON", () => {
  it("is rows that unfold", () => {
    const value = parseJson('{"a":[1,{"b/c":null}],"d":"x"}');
    expect(jsonRows(value, new Set(), new Map())).toMatchObject([{ kind: "object", text: "{a, d}", size: 2 }]);
    const rows = jsonRows(value, new Set(["", "/a", "/a/1"]), new Map());
    expect(rows.map((row) => [row.depth, row.key, row.kind, row.text])).toEqual([
      [0, null, "object", ""],
      [1, "a", "array", ""],
      [2, "0", "number", "1"],
      [2, "1", "object", ""],
      [3, "b/c", "null", "null"],
      [1, "d", "string", '"x"'],
    ]);
    expect(rows[4]!.path).toBe("/a/1/b~1c");
  });

  it("shows a part of what is long", () => {
    const value = parseJson(JSON.stringify(Array.from({ length: 1000 }, (_, n) => n)));
    const rows = jsonRows(value, firstOpen(value), new Map());
    expect(rows).toHaveLength(202);
    expect(rows.at(-1)).toMatchObject({ kind: "more", text: "800 more" });
  });

  it("keeps the digits of numbers where the browser can", () => {
    const value = parseJson('{"n":12345678901234567890}') as Record<string, unknown>;
    const n = value["n"];
    expect(n instanceof ExactNumber ? n.text : String(n)).toMatch(/^1234567890123456/);
  });
});

describe("formats", () => {
  it("of durations are short and exact enough", () => {
    expect([0, 0.022, 3.456, 45.26, 850, 1_234, 12_345, 60_000, 184_000, 7_500_000, 273_600_000].map(duration)).toEqual([
      "0 ms",
      "22 µs",
      "3.46 ms",
      "45.3 ms",
      "850 ms",
      "1.23 s",
      "12.3 s",
      "1m 00s",
      "3m 04s",
      "2h 05m",
      "3d 4h",
    ]);
    expect(duration(null)).toBe("–");
    expect(duration(-5)).toBe("-5 ms");
  });

  it("of sizes, ages, shares and times", () => {
    expect([0, 1023, 1536, 5 * 1024 ** 2].map(bytes)).toEqual(["0 B", "1023 B", "1.5 KiB", "5 MiB"]);
    expect(ago(1_000, 61_000)).toBe("1 min ago");
    expect(percent(1, 3)).toBe("33 %");
    expect(percent(1, 300)).toBe("0.3 %");
    expect(exact(1_796_055_565_311.829)).toMatch(/^2026-11-30 \d\d:\d\d:25\.311829 UTC$/);
    expect([axisTime(1500, 100), axisTime(0.05, 0.01), axisTime(62_000, 500), axisTime(3_600_000, 60_000)]).toEqual([
      "1.5 s",
      "50 µs",
      "1m 2.0s",
      "1h 00m",
    ]);
  });
});

describe("addresses", () => {
  it("name views", () => {
    expect(matchRoute("/")).toEqual({ view: "plays" });
    expect(matchRoute("/plays/a%2Fb")).toEqual({ view: "play", sid: "a/b" });
    expect(matchRoute("/plays/%E0%A4%A")).toEqual({ view: "play", sid: "%E0%A4%A" });
    expect(matchRoute("/flows/x")).toEqual({ view: "flow", sid: "x" });
    expect(matchRoute("/x/y")).toEqual({ view: "nothing" });
    expect(playPath("s", "1.7")).toBe("/plays/s?span=1.7");
  });
});

describe("the event stream", () => {
  const read = (...chunks: string[]) => {
    const events: ServerEvent[] = [];
    const parser = new EventStreamParser((event) => events.push(event));
    for (const chunk of chunks) parser.push(chunk);
    return events;
  };

  it("is read in chunks of any size", () => {
    const text = ":hello\nid: 7\nevent: span\ndata: {\"a\":1}\n\ndata: x\r\ndata: y\r\n\r\nevent: empty\n\n";
    const whole = read(text);
    expect(whole).toEqual([
      { type: "span", data: '{"a":1}', id: "7" },
      { type: "message", data: "x\ny", id: "7" },
    ]);
    expect(read(...text)).toEqual(whole);
    expect(read(text.slice(0, 30), text.slice(30))).toEqual(whole);
  });
});
