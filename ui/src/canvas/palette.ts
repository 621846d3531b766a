// The colours of tokens.css for the canvas, read anew when the theme changes.

import { CANCELLED, FAILED, FLOW_ROOT, REPLAYED, RPC, STEP, SUBFLOW, TIMED_OUT } from "../model/words";

export interface Palette {
  surface: string;
  sunken: string;
  hover: string;
  selected: string;
  line: string;
  lineStrong: string;
  text: string;
  text2: string;
  text3: string;
  accent: string;
  mark: string;
  critical: string;
  failed: string;
  failedBg: string;
  timedOut: string;
  cancelled: string;
  running: string;
  spanText: string;
  step: string;
  rpc: string;
  flow: string;
  other: string;
  font: string;
  /** Diagonal lines, for what was not done now. */
  hatch: CanvasPattern | string;
}

export function readPalette(element: Element, context: CanvasRenderingContext2D): Palette {
  const style = getComputedStyle(element);
  const get = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const cancelled = get("cancelled-bar");
  return {
    surface: get("surface"),
    sunken: get("sunken"),
    hover: get("hover"),
    selected: get("selected"),
    line: get("line"),
    lineStrong: get("line-strong"),
    text: get("text"),
    text2: get("text-2"),
    text3: get("text-3"),
    accent: get("accent"),
    mark: get("mark"),
    critical: get("critical"),
    failed: get("failed-bar"),
    failedBg: get("failed-bg"),
    timedOut: get("timed_out-bar"),
    cancelled,
    running: get("running-bar"),
    spanText: get("span-text"),
    step: get("span-step"),
    rpc: get("span-rpc"),
    flow: get("span-flow"),
    other: get("span-other"),
    font: get("font") || "sans-serif",
    hatch: hatched(cancelled, context),
  };
}

function hatched(color: string, context: CanvasRenderingContext2D): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = 6;
  tile.height = 6;
  const pen = tile.getContext("2d");
  if (!pen) return color;
  pen.strokeStyle = color;
  pen.lineWidth = 1.4;
  pen.beginPath();
  for (const shift of [-6, 0, 6]) {
    pen.moveTo(shift, 6);
    pen.lineTo(shift + 6, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat") ?? color;
}

/** The colour of a bar: how it ended, where that is bad; else what it is. */
export function barColor(palette: Palette, status: number, kind: number): string {
  switch (status) {
    case FAILED:
      return palette.failed;
    case TIMED_OUT:
      return palette.timedOut;
    case CANCELLED:
    case REPLAYED:
      return palette.cancelled;
    default:
      break;
  }
  switch (kind) {
    case STEP:
      return palette.step;
    case RPC:
      return palette.rpc;
    case FLOW_ROOT:
    case SUBFLOW:
      return palette.flow;
    default:
      return palette.other;
  }
}
