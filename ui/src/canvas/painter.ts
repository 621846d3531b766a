// Draws the waterfall: the rows in view and nothing else. No state but caches; the same scene makes the same picture.

import { duration } from "../lib/format";
import { CANCELLED, FAILED, REPLAYED, TIMED_OUT } from "../model/words";
import { paintAxis } from "./axis";
import { barColor, type Palette, readPalette } from "./palette";
import { ROW_EARLIER, ROW_HIT, type RowBuffer } from "./row-buffer";
import { AXIS_HEIGHT, ROW_HEIGHT, type Scene } from "./scene";
import { TextFitter } from "./text";

const BAR_TOP = 5;
const BAR_HEIGHT = 14;
const LEAST_WIDTH = 2;
/** Durations as texts by their value: most rows keep theirs from picture to picture. */
const MOST_DURATIONS = 5_000;

export class Painter {
  private readonly context: CanvasRenderingContext2D;
  private readonly fitter: TextFitter;
  private palette: Palette;
  private durations = new Map<number, string>();
  private width = 0;
  private height = 0;
  private ratio = 1;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser has no 2d canvas");
    this.context = context;
    this.fitter = new TextFitter(context);
    this.palette = readPalette(canvas, context);
  }

  resize(width: number, height: number, ratio: number): void {
    this.width = width;
    this.height = height;
    this.ratio = ratio;
    const pixelsWide = Math.max(1, Math.round(width * ratio));
    const pixelsHigh = Math.max(1, Math.round(height * ratio));
    if (this.canvas.width !== pixelsWide) this.canvas.width = pixelsWide;
    if (this.canvas.height !== pixelsHigh) this.canvas.height = pixelsHigh;
  }

  recolor(): void {
    this.palette = readPalette(this.canvas, this.context);
    this.fitter.clear();
  }

  paint(scene: Scene): void {
    const { context, palette, width, height } = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.fillStyle = palette.surface;
    context.fillRect(0, 0, width, height);
    context.font = `11px ${palette.font}`;
    context.textBaseline = "middle";
    this.bands(scene);
    paintAxis(context, palette, scene, width, height, this.fitter);
    context.save();
    context.beginPath();
    context.rect(0, AXIS_HEIGHT, width, height - AXIS_HEIGHT);
    context.clip();
    const { rows } = scene;
    for (let at = 0; at < rows.count; at++) this.row(scene, rows, at);
    this.overlays(scene);
    context.restore();
  }

  private bands(scene: Scene): void {
    const { context, palette, width } = this;
    const { rows } = scene;
    for (let at = 0; at < rows.count; at++) {
      const y = AXIS_HEIGHT + scene.shift + at * ROW_HEIGHT;
      const ord = rows.ord[at]!;
      const color =
        ord === scene.selected
          ? palette.selected
          : ord === scene.hovered
            ? palette.hover
            : rows.status[at] === FAILED || rows.status[at] === TIMED_OUT
              ? palette.failedBg
              : "";
      if (color === "") continue;
      context.fillStyle = color;
      context.fillRect(0, y, width, ROW_HEIGHT);
    }
  }

  private x(scene: Scene, real: number): number {
    const { window, map } = scene;
    return ((map.toShown(real) - window.from) / (window.to - window.from)) * this.width;
  }

  private row(scene: Scene, rows: RowBuffer, at: number): void {
    const { context, palette, width } = this;
    const status = rows.status[at]!;
    const running = rows.end[at]! < 0;
    const from = this.x(scene, rows.start[at]!);
    const to = this.x(scene, running ? Math.max(scene.now, rows.start[at]!) : rows.end[at]!);
    const top = AXIS_HEIGHT + scene.shift + at * ROW_HEIGHT + BAR_TOP;
    if (to < -1 || from > width + 1) {
      this.outside(from > width, top);
      return;
    }
    const left = Math.max(from, -4);
    const right = Math.min(Math.max(to, from + LEAST_WIDTH), width + 4);
    const wide = right - left;
    const color = barColor(palette, status, rows.kind[at]!);
    context.globalAlpha = rows.flags[at]! & ROW_EARLIER ? 0.55 : 1;
    this.bar(status, color, left, top, wide);
    if (rows.columns[at]) this.columns(scene, rows, at, top);
    if (running && scene.live) this.head(color, right, top);
    context.globalAlpha = 1;
    if (rows.flags[at]! & ROW_HIT) {
      context.strokeStyle = palette.text;
      context.lineWidth = 1.5;
      context.strokeRect(left - 1.5, top - 1.5, wide + 3, BAR_HEIGHT + 3);
    }
    if (scene.path) this.pathPieces(scene, rows.ord[at]!, top);
    this.labels(scene, rows, at, left, right, top, status);
  }

  private bar(status: number, color: string, left: number, top: number, wide: number): void {
    const { context, palette } = this;
    const hollow = status === REPLAYED || status === CANCELLED;
    context.beginPath();
    if (wide > 6) context.roundRect(left, top, wide, BAR_HEIGHT, 3);
    else context.rect(left, top, wide, BAR_HEIGHT);
    if (!hollow || wide <= 4) {
      context.fillStyle = color;
      context.fill();
      return;
    }
    context.fillStyle = palette.surface;
    context.fill();
    context.fillStyle = palette.hatch;
    context.globalAlpha *= status === REPLAYED ? 0.9 : 0.6;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = color;
    context.lineWidth = 1;
    if (status === REPLAYED) context.setLineDash(DASHES);
    context.stroke();
    context.setLineDash(SOLID);
  }

  /** The end of what runs: a bright edge, so that it is told from a bar that has ended. */
  private head(color: string, right: number, top: number): void {
    const { context, palette } = this;
    context.fillStyle = palette.running;
    context.fillRect(right - 3, top - 2, 3, BAR_HEIGHT + 4);
    context.fillStyle = color;
  }

  /** What is folded away, below the bar: where something is, and where something failed. */
  private columns(scene: Scene, rows: RowBuffer, at: number, top: number): void {
    const { context, palette, width } = this;
    const columns = rows.columns[at]!;
    const scale = width / (scene.window.to - scene.window.from);
    const wide = ((rows.columnsTo[at]! - rows.columnsFrom[at]!) / columns.length) * scale;
    const from = (rows.columnsFrom[at]! - scene.window.from) * scale;
    for (let column = 0; column < columns.length; column++) {
      const status = columns[column]! - 1;
      if (status < 0) continue;
      const bad = status === FAILED || status === TIMED_OUT;
      context.fillStyle = bad ? palette.failed : palette.spanText;
      context.globalAlpha = bad ? 1 : 0.22;
      context.fillRect(from + column * wide, top + (bad ? 0 : 10), Math.max(wide, bad ? 2 : 1), bad ? BAR_HEIGHT : 4);
    }
    context.globalAlpha = 1;
  }

  private pathPieces(scene: Scene, ord: number, top: number): void {
    const pieces = scene.path!;
    const { context, palette } = this;
    context.fillStyle = palette.critical;
    for (let piece = pieces.firstOf(ord); piece >= 0; piece = pieces.nextOf(piece)) {
      const from = this.x(scene, pieces.path.from[piece]!);
      const to = this.x(scene, pieces.path.to[piece]!);
      if (to < 0 || from > this.width) continue;
      const left = Math.max(from, 0);
      context.fillRect(left, top + BAR_HEIGHT, Math.max(2, Math.min(to, this.width) - left), 3);
    }
  }

  private labels(scene: Scene, rows: RowBuffer, at: number, left: number, right: number, top: number, status: number): void {
    const { context, palette, fitter } = this;
    const middle = top + BAR_HEIGHT / 2 + 0.5;
    const inside = Math.max(left, 0);
    const room = Math.min(right, this.width) - inside - 10;
    if (room > 28) {
      const text = fitter.fit(rows.names[at]!, room);
      if (text !== "") {
        const hollow = status === CANCELLED || status === REPLAYED;
        context.fillStyle = hollow ? palette.text : status === FAILED ? "#ffffff" : palette.spanText;
        context.fillText(text, inside + 6, middle);
      }
    }
    const end = rows.end[at]! < 0 ? scene.now : rows.end[at]!;
    const ms = end - rows.start[at]!;
    const length = ms === 0 && status === REPLAYED ? "replayed" : this.duration(ms);
    const bad = status === FAILED || status === TIMED_OUT;
    const text = bad ? `✕ ${length}` : length;
    context.fillStyle = bad ? palette.failed : palette.text3;
    const wide = fitter.width(text);
    if (right + 6 + wide < this.width) context.fillText(text, right + 6, middle);
    else if (left - 6 - wide > 0) context.fillText(text, left - 6 - wide, middle);
  }

  private duration(ms: number): string {
    const known = this.durations.get(ms);
    if (known !== undefined) return known;
    if (this.durations.size > MOST_DURATIONS) this.durations.clear();
    const text = duration(ms);
    this.durations.set(ms, text);
    return text;
  }

  /** A bar that is beside what is seen: an arrow to where it is. */
  private outside(toTheRight: boolean, top: number): void {
    const { context, palette } = this;
    const x = toTheRight ? this.width - 5 : 5;
    const side = toTheRight ? -5 : 5;
    context.fillStyle = palette.lineStrong;
    context.beginPath();
    context.moveTo(x, top + BAR_HEIGHT / 2);
    context.lineTo(x + side, top + 3);
    context.lineTo(x + side, top + BAR_HEIGHT - 3);
    context.fill();
  }

  private overlays(scene: Scene): void {
    const { context, palette, height } = this;
    if (scene.live) {
      const x = this.x(scene, scene.now);
      context.fillStyle = palette.running;
      context.globalAlpha = 0.5;
      context.fillRect(x, AXIS_HEIGHT, 1, height);
      context.globalAlpha = 1;
    }
    if (scene.pointer >= 0 && !scene.choosing) {
      context.fillStyle = palette.lineStrong;
      context.fillRect(scene.pointer, AXIS_HEIGHT, 1, height);
    }
    if (scene.choosing) {
      const from = Math.min(scene.choosing.from, scene.choosing.to);
      context.globalAlpha = 0.18;
      context.fillStyle = palette.accent;
      context.fillRect(from, AXIS_HEIGHT, Math.abs(scene.choosing.to - scene.choosing.from), height);
      context.globalAlpha = 1;
    }
  }
}

const DASHES = [4, 2];
const SOLID: number[] = [];
