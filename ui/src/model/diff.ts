// The difference of two texts, line by line: what both begin and end with is taken off, the rest by Myers' algorithm. Pure.

import { ExactNumber } from "./json";

export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
  /** Line numbers, from 1; 0 where the text is not on that side. */
  before: number;
  after: number;
}

/** Beyond so many differences what is left is told as removed and added at once: nobody reads more. */
const MOST_STEPS = 2_000;

export function diffLines(before: string, after: string): DiffLine[] {
  const a = before.split("\n");
  const b = after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const lines: DiffLine[] = [];
  const same = (x: number, y: number) => lines.push({ kind: "same", text: a[x]!, before: x + 1, after: y + 1 });
  for (let at = 0; at < head; at++) same(at, at);
  for (const [kind, x, y] of middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail))) {
    if (kind === "same") same(head + x, head + y);
    else if (kind === "removed") lines.push({ kind, text: a[head + x]!, before: head + x + 1, after: 0 });
    else lines.push({ kind, text: b[head + y]!, before: 0, after: head + y + 1 });
  }
  for (let at = tail; at > 0; at--) same(a.length - at, b.length - at);
  return lines;
}

type Step = [kind: DiffLine["kind"], x: number, y: number];

function middle(a: string[], b: string[]): Step[] {
  const trace = shortest(a, b);
  if (!trace) {
    return [...a.map((_, at): Step => ["removed", at, 0]), ...b.map((_, at): Step => ["added", a.length, at])];
  }
  const steps: Step[] = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d > 0; d--) {
    const reached = trace[d - 1]!;
    const k = x - y;
    const down = k === -d || (k !== d && (reached.get(k - 1) ?? -1) < (reached.get(k + 1) ?? -1));
    const fromK = down ? k + 1 : k - 1;
    const fromX = reached.get(fromK) ?? 0;
    const fromY = fromX - fromK;
    while (x > fromX && y > fromY && x > 0 && y > 0 && (down ? y > fromY + 1 || x > fromX : x > fromX + 1 || y > fromY)) {
      x -= 1;
      y -= 1;
      steps.push(["same", x, y]);
    }
    if (down) steps.push(["added", x, --y]);
    else steps.push(["removed", --x, y]);
  }
  while (x > 0 && y > 0) steps.push(["same", --x, --y]);
  return steps.reverse();
}

/** For each number of differences, how far one comes on each diagonal; null if there are too many. */
function shortest(a: string[], b: string[]): Map<number, number>[] | null {
  const trace: Map<number, number>[] = [];
  let reached = new Map<number, number>();
  for (let d = 0; d <= Math.min(a.length + b.length, MOST_STEPS); d++) {
    const next = new Map<number, number>();
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (reached.get(k - 1) ?? -1) < (reached.get(k + 1) ?? -1));
      let x = d === 0 ? 0 : down ? (reached.get(k + 1) ?? 0) : (reached.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      next.set(k, x);
      if (x >= a.length && y >= b.length) {
        trace.push(next);
        return trace;
      }
    }
    trace.push(next);
    reached = next;
  }
  return null;
}

export interface Hunk {
  /** Lines that were left out before it. */
  skipped: number;
  lines: DiffLine[];
}

/** Only what differs, with some lines around. */
export function hunks(lines: DiffLine[], around = 3): Hunk[] {
  const keep = new Uint8Array(lines.length);
  lines.forEach((line, at) => {
    if (line.kind === "same") return;
    keep.fill(1, Math.max(0, at - around), Math.min(lines.length, at + around + 1));
  });
  const found: Hunk[] = [];
  let skipped = 0;
  for (let at = 0; at < lines.length; at++) {
    if (!keep[at]) {
      skipped += 1;
      continue;
    }
    if (skipped > 0 || found.length === 0) found.push({ skipped, lines: [] });
    skipped = 0;
    found[found.length - 1]!.lines.push(lines[at]!);
  }
  return found;
}

export interface JsonChange {
  path: string;
  before: string | undefined;
  after: string | undefined;
}

/** What differs between two JSON values, by path. */
export function jsonChanges(before: unknown, after: unknown, most = 500): JsonChange[] {
  const found: JsonChange[] = [];
  walk(before, after, "");
  return found;

  function walk(a: unknown, b: unknown, path: string): void {
    if (found.length >= most || Object.is(a, b)) return;
    const bothObjects = isBranch(a) && isBranch(b) && Array.isArray(a) === Array.isArray(b);
    if (!bothObjects) {
      const left = JSON.stringify(a);
      const right = JSON.stringify(b);
      if (left !== right) found.push({ path: path || "(all)", before: left, after: right });
      return;
    }
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    for (const key of keys) {
      const below = Array.isArray(a) ? `${path}[${key}]` : path ? `${path}.${key}` : key;
      walk((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key], below);
    }
  }
}

function isBranch(value: unknown): value is object {
  return value !== null && typeof value === "object" && !(value instanceof ExactNumber);
}
