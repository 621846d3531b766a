// Where a text contains what was searched, as pieces. Pure; what comes out is text.

export interface Part {
  text: string;
  hit: boolean;
}

export function litParts(text: string, query: string): Part[] {
  const wanted = query.toLowerCase();
  const low = text.toLowerCase();
  // Where lower case has another length than the text, places would not be the same.
  if (wanted === "" || low.length !== text.length) return [{ text, hit: false }];
  const parts: Part[] = [];
  let from = 0;
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, from)) {
    if (at > from) parts.push({ text: text.slice(from, at), hit: false });
    from = at + wanted.length;
    parts.push({ text: text.slice(at, from), hit: true });
  }
  if (from < text.length) parts.push({ text: text.slice(from), hit: false });
  return parts;
}
