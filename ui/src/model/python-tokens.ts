// Python source into tokens, good enough to colour it: strings over several lines, comments, keywords, numbers, names that
// are defined. The editor has a real grammar; this is for what is only read. Pure.

export type TokenKind = "plain" | "keyword" | "string" | "comment" | "number" | "name" | "decorator";

export interface Token {
  text: string;
  kind: TokenKind;
}

const KEYWORDS = new Set(
  "False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda match case nonlocal not or pass raise return try while with yield".split(
    " ",
  ),
);
const NEXT =
  /(#.*)|((?:[rRbBfFuUtT]{0,2})(?:"""|'''|"|'))|(@[\w.]+)|(\b\d[\w.]*)|([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)|(\s+)|(.)/y;

/** Each line's tokens. */
export function pythonLines(source: string): Token[][] {
  const lines: Token[][] = [];
  let quote = "";
  for (const line of source.split("\n")) {
    const tokens: Token[] = [];
    let at = 0;
    if (quote !== "") {
      const end = endOfString(line, 0, quote);
      push(tokens, "string", line.slice(0, end < 0 ? line.length : end));
      if (end < 0) {
        lines.push(tokens);
        continue;
      }
      at = end;
      quote = "";
    }
    let defines = false;
    while (at < line.length) {
      NEXT.lastIndex = at;
      const match = NEXT.exec(line);
      if (!match) break;
      at = NEXT.lastIndex;
      const text = match[0];
      if (match[1] !== undefined) push(tokens, "comment", text);
      else if (match[2] !== undefined) {
        const opened = text.replace(/^[a-zA-Z]*/, "");
        const end = endOfString(line, at, opened);
        push(tokens, "string", text + line.slice(at, end < 0 ? line.length : end));
        if (end < 0 && opened.length === 3) quote = opened;
        at = end < 0 ? line.length : end;
      } else if (match[3] !== undefined) push(tokens, tokens.every((token) => token.text.trim() === "") ? "decorator" : "plain", text);
      else if (match[4] !== undefined) push(tokens, "number", text);
      else if (match[5] !== undefined) {
        push(tokens, KEYWORDS.has(text) ? "keyword" : defines ? "name" : "plain", text);
        defines = text === "def" || text === "class";
        continue;
      } else push(tokens, "plain", text);
      if (text.trim() !== "") defines = false;
    }
    lines.push(tokens);
  }
  return lines;
}

function push(tokens: Token[], kind: TokenKind, text: string): void {
  if (text === "") return;
  const last = tokens[tokens.length - 1];
  if (last && last.kind === kind && kind === "plain") last.text += text;
  else tokens.push({ text, kind });
}

/** Where the string ends (after its quote); -1 if not in this line. */
function endOfString(line: string, from: number, quote: string): number {
  for (let at = from; at < line.length; at++) {
    if (line[at] === "\\") at += 1;
    else if (line.startsWith(quote, at)) return at + quote.length;
  }
  return -1;
}
