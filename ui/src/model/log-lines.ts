// Pieces of text, as a play wrote them, into the lines that a terminal would show in the end: pieces are joined until a
// newline, and of what a carriage return overwrote (a progress bar) the last state stays. Pure, and linear in the text.

import type { LogPiece } from "../api/records";
import type { LogStream } from "../api/generated";

export interface LogLine {
  /** When it began. */
  ts: number;
  stream: LogStream;
  span: string;
  text: string;
}

/** Of a longer line the rest is left out, and said. */
export const LONGEST_LINE = 20_000;

interface Open {
  line: number;
  /** The text of the line so far, without what was overwritten. */
  text: string;
  returned: boolean;
}

export class LogLines {
  readonly lines: LogLine[] = [];
  private open = new Map<string, Open>();

  add(piece: LogPiece): void {
    const key = `${piece.stream} ${piece.span_id}`;
    const { text } = piece;
    // What a flow logs is a line of its own, whether or not it ends in a newline.
    const whole = piece.stream === "log" && !text.endsWith("\n");
    let from = 0;
    for (;;) {
      const at = text.indexOf("\n", from);
      if (at < 0) break;
      this.put(key, piece, text.slice(from, at));
      this.open.delete(key);
      from = at + 1;
    }
    if (from < text.length || (whole && text === "")) {
      this.put(key, piece, text.slice(from));
      if (whole) this.open.delete(key);
    }
  }

  private put(key: string, piece: LogPiece, text: string): void {
    let open = this.open.get(key);
    if (!open) {
      open = { line: this.lines.length, text: "", returned: false };
      this.open.set(key, open);
      this.lines.push({ ts: piece.ts_ms, stream: piece.stream, span: piece.span_id, text: "" });
    }
    overwrite(open, text);
    this.lines[open.line]!.text =
      open.text.length > LONGEST_LINE
        ? `${open.text.slice(0, LONGEST_LINE)}… (${open.text.length - LONGEST_LINE} more characters)`
        : open.text;
  }

  clear(): void {
    this.lines.length = 0;
    this.open.clear();
  }
}

function overwrite(open: Open, text: string): void {
  if (!open.returned && !text.includes("\r")) {
    open.text += text;
    return;
  }
  for (const [at, part] of text.split("\r").entries()) {
    if (at > 0) open.returned = true;
    if (part === "") continue;
    // A shorter text leaves the rest of the longer one on a terminal; a bar that is drawn anew means the new one.
    if (open.returned) open.text = part;
    else open.text += part;
    open.returned = false;
  }
}
