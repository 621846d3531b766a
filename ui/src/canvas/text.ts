// Text that fits. Widths are measured once, and what is cut is kept, so that drawing allocates nothing in the long run.

const MOST = 20_000;

export class TextFitter {
  private widths = new Map<string, number>();
  private cuts = new Map<string, Map<number, string>>();

  constructor(private readonly context: CanvasRenderingContext2D) {}

  clear(): void {
    this.widths.clear();
    this.cuts.clear();
  }

  width(text: string): number {
    let width = this.widths.get(text);
    if (width === undefined) {
      if (this.widths.size > MOST) this.clear();
      width = this.context.measureText(text).width;
      this.widths.set(text, width);
    }
    return width;
  }

  /** The text, or its beginning with an ellipsis; empty where nothing useful fits. */
  fit(text: string, room: number): string {
    const width = this.width(text);
    if (width <= room) return text;
    const letters = Math.floor((text.length * (room - 8)) / width);
    if (letters < 2) return "";
    let cuts = this.cuts.get(text);
    if (!cuts) {
      cuts = new Map();
      this.cuts.set(text, cuts);
    }
    let cut = cuts.get(letters);
    if (cut === undefined) {
      cut = `${text.slice(0, letters)}…`;
      cuts.set(letters, cut);
    }
    return cut;
  }
}
