// Text with terminal colours into pieces of one look. Everything else that a terminal would obey is taken out. Pure: what
// comes out is text and class names, never markup.

export interface Piece {
  text: string;
  /** Class names: `fg1`…`fg15`, `bg1`…, `bold`, `dim`, `italic`, `underline`; empty for plain text. */
  look: string;
}

// Control sequences (CSI), operating system commands (OSC, with titles and links), and other escapes.
// eslint-disable-next-line no-control-regex
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_]|.)/g;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

export function plainText(text: string): string {
  return text.includes("\x1b") ? text.replace(ESCAPE, "") : text;
}

class Look {
  fg = -1;
  bg = -1;
  bold = false;
  dim = false;
  italic = false;
  underline = false;

  reset(): void {
    this.fg = -1;
    this.bg = -1;
    this.bold = this.dim = this.italic = this.underline = false;
  }

  apply(parameters: string): void {
    const codes = parameters === "" ? [0] : parameters.split(/[;:]/).map(Number);
    for (let at = 0; at < codes.length; at++) {
      const code = codes[at]!;
      if (code === 0) this.reset();
      else if (code === 1) this.bold = true;
      else if (code === 2) this.dim = true;
      else if (code === 3) this.italic = true;
      else if (code === 4) this.underline = true;
      else if (code === 22) this.bold = this.dim = false;
      else if (code === 23) this.italic = false;
      else if (code === 24) this.underline = false;
      else if (code >= 30 && code <= 37) this.fg = code - 30;
      else if (code >= 90 && code <= 97) this.fg = code - 82;
      else if (code === 39) this.fg = -1;
      else if (code >= 40 && code <= 47) this.bg = code - 40;
      else if (code >= 100 && code <= 107) this.bg = code - 92;
      else if (code === 49) this.bg = -1;
      else if (code === 38 || code === 48) {
        const wide = codes[at + 1] === 5;
        const color = wide ? ofCube(codes[at + 2] ?? 0) : ofRgb(codes.slice(at + 2, at + 5));
        if (code === 38) this.fg = color;
        else this.bg = color;
        at += wide ? 2 : 4;
      }
    }
  }

  name(): string {
    let name = "";
    if (this.fg >= 0) name += ` fg${this.fg}`;
    if (this.bg >= 0) name += ` bg${this.bg}`;
    if (this.bold) name += " bold";
    if (this.dim) name += " dim";
    if (this.italic) name += " italic";
    if (this.underline) name += " underline";
    return name.slice(1);
  }
}

/** One of the sixteen that is nearest: the page's own sixteen can be read on both themes. */
function ofRgb([red = 0, green = 0, blue = 0]: number[]): number {
  const most = Math.max(red, green, blue);
  if (most < 60) return 0;
  const color = (red > most * 0.6 ? 1 : 0) + (green > most * 0.6 ? 2 : 0) + (blue > most * 0.6 ? 4 : 0);
  return most > 200 && color !== 7 ? color + 8 : color;
}

function ofCube(code: number): number {
  if (code < 16) return code;
  if (code >= 232) return code < 244 ? 8 : 7;
  const at = code - 16;
  const level = (value: number) => (value === 0 ? 0 : 55 + value * 40);
  return ofRgb([level(Math.floor(at / 36)), level(Math.floor(at / 6) % 6), level(at % 6)]);
}

/** The pieces of one line. */
export function pieces(line: string): Piece[] {
  if (!line.includes("\x1b")) return [{ text: line.replace(CONTROL, ""), look: "" }];
  const found: Piece[] = [];
  const look = new Look();
  let from = 0;
  const push = (to: number) => {
    if (to <= from) return;
    const text = line.slice(from, to).replace(CONTROL, "");
    if (text !== "") found.push({ text, look: look.name() });
  };
  ESCAPE.lastIndex = 0;
  for (let match = ESCAPE.exec(line); match; match = ESCAPE.exec(line)) {
    push(match.index);
    if (match[2] === "m") look.apply(match[1] ?? "");
    from = match.index + match[0].length;
  }
  push(line.length);
  return found;
}
