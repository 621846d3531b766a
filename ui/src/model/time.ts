// The time axis. `real` time is milliseconds since the play was created; `shown` time is the same without the gaps that are
// compressed. A view is a stretch of shown time over a width in pixels. Pure.

import type { SpanStore } from "./store";

export interface Gap {
  from: number;
  to: number;
  /** Where it begins in shown time. */
  at: number;
  /** How long it is in shown time. */
  width: number;
}

/** Real time to shown time and back: piecewise linear. */
export class TimeMap {
  constructor(readonly gaps: readonly Gap[] = []) {}

  toShown(real: number): number {
    const { gaps } = this;
    let low = 0;
    let high = gaps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (gaps[middle]!.from <= real) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return real;
    const gap = gaps[low - 1]!;
    if (real >= gap.to) return gap.at + gap.width + (real - gap.to);
    return gap.at + ((real - gap.from) / (gap.to - gap.from)) * gap.width;
  }

  toReal(shown: number): number {
    const { gaps } = this;
    let low = 0;
    let high = gaps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (gaps[middle]!.at <= shown) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return shown;
    const gap = gaps[low - 1]!;
    if (shown >= gap.at + gap.width) return gap.to + (shown - gap.at - gap.width);
    return gap.from + ((shown - gap.at) / gap.width) * (gap.to - gap.from);
  }
}

/** A stretch in which nothing starts and nothing ends is idle if it is at least this share of the whole. */
const IDLE_SHARE = 0.04;
/** What is left of an idle stretch, as a share of the time that is left. */
const LEFT_SHARE = 0.015;
const MOST_GAPS = 200;

/** Compresses the stretches in which nothing starts and nothing ends. */
export function compressed(store: SpanStore, until: number): TimeMap {
  const times = new Float64Array(store.count * 2 + 2);
  let length = 0;
  times[length++] = 0;
  times[length++] = until;
  for (let ord = 0; ord < store.count; ord++) {
    times[length++] = store.start[ord]!;
    const end = store.end[ord]!;
    if (end >= 0) times[length++] = end;
  }
  const sorted = times.subarray(0, length).sort();
  const least = until * IDLE_SHARE;
  const found: { from: number; to: number }[] = [];
  let idle = 0;
  for (let at = 1; at < length && found.length < MOST_GAPS; at++) {
    const from = sorted[at - 1]!;
    const to = sorted[at]!;
    if (to - from < least || to - from <= 0) continue;
    found.push({ from, to });
    idle += to - from;
  }
  if (found.length === 0) return new TimeMap();
  const width = Math.max((until - idle) * LEFT_SHARE, until * 1e-6);
  let saved = 0;
  const gaps = found.map(({ from, to }) => {
    const gap = { from, to, at: from - saved, width: Math.min(width, to - from) };
    saved += to - from - gap.width;
    return gap;
  });
  return new TimeMap(gaps);
}

/** What is seen: shown time from `from` to `to`. */
export interface Window {
  from: number;
  to: number;
}

/** The narrowest stretch: one microsecond. */
const NARROWEST = 0.001;

/** Zooms by `factor` (below 1: nearer) around the time `about`, within 0 and `whole`. */
export function zoomed(window: Window, factor: number, about: number, whole: number): Window {
  const span = window.to - window.from;
  const wanted = Math.min(Math.max(span * factor, NARROWEST), limit(whole));
  const share = span > 0 ? (about - window.from) / span : 0.5;
  return clamped({ from: about - wanted * share, to: about + wanted * (1 - share) }, whole);
}

export function panned(window: Window, by: number, whole: number): Window {
  return clamped({ from: window.from + by, to: window.to + by }, whole);
}

function limit(whole: number): number {
  return Math.max(whole, NARROWEST) * 1.06;
}

/** Keeps a window within the whole, with a little room at both ends. */
export function clamped(window: Window, whole: number): Window {
  const room = Math.max(whole, NARROWEST) * 0.03;
  const span = Math.min(window.to - window.from, limit(whole));
  let from = window.from;
  if (from < -room) from = -room;
  if (from + span > whole + room) from = whole + room - span;
  return { from, to: from + span };
}

/** A window around a span, with room beside it. */
export function around(from: number, to: number, whole: number): Window {
  const length = Math.max(to - from, whole * 1e-6, NARROWEST);
  return clamped({ from: from - length * 0.15, to: to + length * 0.25 }, whole);
}

export interface Tick {
  /** Shown time. */
  at: number;
  real: number;
}

const STEPS = [1, 2, 5];

/** A round step that makes at most `most` ticks over `span` milliseconds. */
export function tickStep(span: number, most: number): number {
  const least = span / Math.max(1, most);
  if (least > 60_000) {
    const round = [2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 20_160].find((m) => m * 60_000 >= least);
    if (round) return round * 60_000;
  } else if (least > 10_000) {
    return [15, 20, 30, 60].find((s) => s * 1000 >= least)! * 1000;
  }
  const power = 10 ** Math.floor(Math.log10(least));
  for (const step of STEPS) if (step * power >= least * 0.999) return step * power;
  return 10 * power;
}
