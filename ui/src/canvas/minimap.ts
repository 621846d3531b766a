// The whole of a play in a small picture: how much goes on at each moment, where something failed, and which part is seen.

import type { Density } from "../model/density";
import type { Window } from "../model/time";
import { type Palette, readPalette } from "./palette";

export const MINIMAP_HEIGHT = 34;

export class Minimap {
  private readonly context: CanvasRenderingContext2D;
  private readonly picture = document.createElement("canvas");
  private palette: Palette;
  private width = 0;
  private ratio = 1;
  private drawn: Density | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser has no 2d canvas");
    this.context = context;
    this.palette = readPalette(canvas, context);
  }

  resize(width: number, ratio: number): void {
    this.width = width;
    this.ratio = ratio;
    for (const canvas of [this.canvas, this.picture]) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.round(MINIMAP_HEIGHT * ratio);
    }
    this.drawn = null;
  }

  recolor(): void {
    this.palette = readPalette(this.canvas, this.context);
    this.drawn = null;
  }

  paint(density: Density, window: Window, whole: number): void {
    if (this.drawn !== density) this.draw(density);
    const { context, palette, width, ratio } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.picture, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const scale = whole > 0 ? width / whole : 0;
    const from = Math.max(0, window.from * scale);
    const to = Math.min(width, window.to * scale);
    if (from <= 0.5 && to >= width - 0.5) return;
    context.fillStyle = palette.sunken;
    context.globalAlpha = 0.72;
    context.fillRect(0, 0, from, MINIMAP_HEIGHT);
    context.fillRect(to, 0, width - to, MINIMAP_HEIGHT);
    context.globalAlpha = 1;
    context.strokeStyle = palette.accent;
    context.lineWidth = 1.5;
    context.strokeRect(from + 0.75, 0.75, Math.max(3, to - from - 1.5), MINIMAP_HEIGHT - 1.5);
  }

  private draw(density: Density): void {
    const context = this.picture.getContext("2d");
    if (!context) return;
    const { palette, width, ratio } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = palette.surface;
    context.fillRect(0, 0, width, MINIMAP_HEIGHT);
    const columns = density.open.length;
    const wide = width / columns;
    const room = MINIMAP_HEIGHT - 6;
    context.fillStyle = palette.step;
    context.globalAlpha = 0.75;
    for (let at = 0; at < columns; at++) {
      const open = density.open[at]!;
      if (open <= 0) continue;
      // By logarithm: one span in a play of ten thousand at once must still be seen.
      const high = Math.max(2, (Math.log2(open + 1) / Math.log2(density.most + 1)) * room);
      const left = Math.round(at * wide);
      context.fillRect(left, MINIMAP_HEIGHT - high, Math.round((at + 1) * wide) - left, high);
    }
    context.globalAlpha = 1;
    context.fillStyle = palette.failed;
    for (let at = 0; at < columns; at++) {
      if (density.failed[at]) context.fillRect(at * wide, 0, Math.max(2, wide), MINIMAP_HEIGHT);
    }
    context.fillStyle = palette.line;
    context.fillRect(0, MINIMAP_HEIGHT - 1, width, 1);
    this.drawn = density;
  }
}
