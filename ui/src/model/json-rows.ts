// A JSON value as rows of a tree that can be folded. Only what is unfolded is visited. Pure.

import { ExactNumber, type Value } from "./json";

export interface JsonRow {
  /** Names the place: keys and indices joined by `/`. */
  path: string;
  depth: number;
  /** The key or index in what is around; null at the top. */
  key: string | null;
  kind: "object" | "array" | "string" | "number" | "boolean" | "null" | "more";
  /** What is shown of the value. */
  text: string;
  /** The whole text of a string, where more can be shown. */
  full?: string;
  size: number;
  open: boolean;
}

/** Children of one value that are shown before `more`. */
export const CHUNK = 200;
const LONGEST = 300;

export function jsonRows(value: Value, open: ReadonlySet<string>, more: ReadonlyMap<string, number>): JsonRow[] {
  const rows: JsonRow[] = [];
  visit(value, null, "", 0);
  return rows;

  function visit(one: Value, key: string | null, path: string, depth: number): void {
    const entries = childrenOf(one);
    if (!entries) {
      rows.push({ path, depth, key, size: 0, open: false, ...leaf(one) });
      return;
    }
    const isOpen = open.has(path);
    rows.push({
      path,
      depth,
      key,
      kind: Array.isArray(one) ? "array" : "object",
      text: isOpen ? "" : preview(one),
      size: entries.length,
      open: isOpen,
    });
    if (!isOpen) return;
    const shown = more.get(path) ?? CHUNK;
    for (const [name, child] of entries.slice(0, shown)) {
      visit(child, name, `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, depth + 1);
    }
    if (entries.length > shown) {
      rows.push({
        path,
        depth: depth + 1,
        key: null,
        kind: "more",
        text: `${entries.length - shown} more`,
        size: 0,
        open: false,
      });
    }
  }
}

function childrenOf(value: Value): [string, Value][] | null {
  if (Array.isArray(value)) return value.map((child, at) => [String(at), child as Value]);
  if (value !== null && typeof value === "object" && !(value instanceof ExactNumber)) {
    return Object.entries(value as { [key: string]: Value });
  }
  return null;
}

function leaf(value: Value): Pick<JsonRow, "kind" | "text" | "full"> {
  if (typeof value === "string") {
    if (value.length <= LONGEST) return { kind: "string", text: JSON.stringify(value) };
    return { kind: "string", text: `${JSON.stringify(value.slice(0, LONGEST)).slice(0, -1)}…"`, full: value };
  }
  if (value instanceof ExactNumber) return { kind: "number", text: value.text };
  if (typeof value === "number") return { kind: "number", text: String(value) };
  if (typeof value === "boolean") return { kind: "boolean", text: String(value) };
  return { kind: "null", text: "null" };
}

function preview(value: Value): string {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[… ${value.length}]`;
  const keys = Object.keys(value as object);
  if (keys.length === 0) return "{}";
  const shown = keys.slice(0, 4).join(", ");
  return `{${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}${keys.length > 4 ? ", …" : ""}}`;
}

/** What is open at first: everything while it is short. */
export function firstOpen(value: Value, most = 60): Set<string> {
  const open = new Set<string>();
  let left = most;
  let level: [string, Value][] = [["", value]];
  while (level.length > 0) {
    const next: [string, Value][] = [];
    for (const [path, one] of level) {
      const entries = childrenOf(one);
      if (!entries || entries.length === 0) continue;
      if (entries.length > left && path !== "") continue;
      left -= entries.length;
      open.add(path);
      for (const [name, child] of entries.slice(0, CHUNK)) {
        next.push([`${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, child]);
      }
      if (left <= 0) return open;
    }
    level = next;
  }
  return open;
}
