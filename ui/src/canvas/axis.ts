// The time axis above the waterfall: round ticks, gaps, attempts, and the time under the pointer.

import { duration } from "../lib/format";
import { tickStep } from "../model/time";
import type { Palette } from "./palette";
import { AXIS_HEIGHT, type Scene } from "./scene";
import type { TextFitter } from "./text";

const BETWEEN = 90;
const labels = new Map<number, string>();

function label(real: number, step: number): string {
  // Times that differ by a step must look different: `1.23 s` beside `1.23 s` tells nothing.
  const key = real + step * 1e-9;
  const known = labels.get(key);
  if (known !== undefined) return known;
  if (labels.size > 5_000) labels.clear();
  const text = axisTime(real, step);
  labels.set(key, text);
  return text;
}

/** A time on the axis, as precise as its step. */
export function axisTime(ms: number, step: number): string {
  if (Math.abs(ms) < step / 1000) return "0";
  if (step >= 60_000 || Math.abs(ms) >= 60_000) {
    if (step >= 1_000) return duration(Math.round(ms / 1000) * 1000);
    const minutes = Math.floor(ms / 60_000);
    return `${minutes}m ${((ms - minutes * 60_000) / 1000).toFixed(digits(step / 1000)).padStart(2, "0")}s`;
  }
  if (Math.abs(ms) >= 1_000 || step >= 1_000) return `${(ms / 1000).toFixed(digits(step / 1000))} s`;
  if (Math.abs(ms) >= 1 || step >= 1) return `${ms.toFixed(digits(step))} ms`;
  return `${(ms * 1000).toFixed(digits(step * 1000))} µs`;
}

function digits(step: number): number {
  return Math.min(9, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
}

export function paintAxis(
  context: CanvasRenderingContext2D,
  palette: Palette,
  scene: Scene,
  width: number,
  height: number,
  fitter: TextFitter,
): void {
  const { window, map } = scene;
  const scale = width / (window.to - window.from);
  context.fillStyle = palette.sunken;
  context.fillRect(0, 0, width, AXIS_HEIGHT);
  context.fillStyle = palette.line;
  context.fillRect(0, AXIS_HEIGHT - 1, width, 1);

  const step = tickStep(window.to - window.from, width / BETWEEN);
  const realFrom = map.toReal(window.from);
  const realTo = map.toReal(window.to);
  // In compressed time most ticks would fall into gaps: those that lie too near to the last one are left out.
  let last = -Infinity;
  const first = Math.ceil(realFrom / step - 1e-9);
  const count = Math.min(4_000, Math.floor(realTo / step) - first);
  for (let n = 0; n <= count; n++) {
    const real = (first + n) * step;
    const x = (map.toShown(real) - window.from) * scale;
    if (x < last + BETWEEN * 0.7) continue;
    last = x;
    const at = Math.round(x);
    context.fillStyle = palette.line;
    context.fillRect(at, AXIS_HEIGHT - 7, 1, height);
    context.fillStyle = palette.text3;
    context.fillText(label(real, step), at + 4, AXIS_HEIGHT / 2);
  }
  for (const gap of map.gaps) {
    const from = (gap.at - window.from) * scale;
    const to = (gap.at + gap.width - window.from) * scale;
    if (to < 0 || from > width) continue;
    const wide = Math.max(2, to - from);
    context.fillStyle = palette.sunken;
    context.fillRect(from, 0, wide, height);
    context.strokeStyle = palette.lineStrong;
    context.lineWidth = 1;
    context.beginPath();
    for (const x of [from, from + wide]) {
      context.moveTo(x, AXIS_HEIGHT);
      for (let y = AXIS_HEIGHT, n = 0; y < height; y += 6, n++) context.lineTo(x + (n % 2 === 0 ? -2 : 2), y);
    }
    context.stroke();
    const text = duration(gap.to - gap.from);
    if (fitter.width(text) + 4 <= Math.max(wide, 44)) {
      context.fillStyle = palette.text2;
      context.fillText(text, from + 3, AXIS_HEIGHT / 2);
    }
  }
  for (let at = 0; at < scene.attempts.length; at++) {
    const x = Math.round((map.toShown(scene.attempts[at]!) - window.from) * scale);
    if (x < 0 || x > width) continue;
    context.fillStyle = palette.accent;
    context.fillRect(x, 0, 1, height);
    const text = ATTEMPTS[at] ?? "…";
    context.fillRect(x, 0, fitter.width(text) + 8, 12);
    context.fillStyle = palette.surface;
    context.fillText(text, x + 4, 6.5);
  }
  if (scene.pointer >= 0) {
    const real = map.toReal(window.from + scene.pointer / scale);
    const text = axisTime(real, step / 50);
    const wide = fitter.width(text) + 10;
    const left = Math.min(Math.max(0, scene.pointer - wide / 2), width - wide);
    context.fillStyle = palette.text2;
    context.fillRect(left, 4, wide, AXIS_HEIGHT - 8);
    context.fillStyle = palette.surface;
    context.fillText(text, left + 5, AXIS_HEIGHT / 2);
  }
}

const ATTEMPTS = Array.from({ length: 200 }, (_, at) => `attempt ${at + 2}`);
