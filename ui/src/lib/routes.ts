export type Route =
  | { view: "plays" }
  | { view: "play"; sid: string }
  | { view: "flows" }
  | { view: "flow"; sid: string }
  | { view: "compare" }
  | { view: "inbox" }
  | { view: "system" }
  | { view: "nothing" };

const SIMPLE = new Set(["plays", "flows", "compare", "inbox", "system"]);

export function matchRoute(path: string): Route {
  const parts = path.split("/").filter(Boolean);
  const [first, second] = parts;
  if (first === undefined) return { view: "plays" };
  if (parts.length === 1 && SIMPLE.has(first)) return { view: first } as Route;
  if (parts.length === 2 && second !== undefined) {
    const sid = decode(second);
    if (first === "plays") return { view: "play", sid };
    if (first === "flows") return { view: "flow", sid };
  }
  return { view: "nothing" };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a play, or of one of its spans. */
export function playPath(sid: string, span?: string | null): string {
  const path = `/plays/${encodeURIComponent(sid)}`;
  return span ? `${path}?span=${encodeURIComponent(span)}` : path;
}

export function flowPath(sid: string, tab?: string): string {
  const path = `/flows/${encodeURIComponent(sid)}`;
  return tab ? `${path}?tab=${tab}` : path;
}

export function comparePath(a: string, b: string): string {
  return `/compare?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`;
}
