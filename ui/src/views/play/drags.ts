// The pointer on the waterfall: drag pans, the wheel scrolls, with Ctrl (or two fingers) it zooms, with Shift it pans or a
// drag chooses what is to be seen. On the small picture of the whole a drag chooses too.

import type { Scene } from "../../canvas/scene";
import { clamped, zoomed } from "../../model/time";
import type { PlayModel } from "./model.svelte";

export interface Dragged {
  canvas: HTMLCanvasElement;
  overview: HTMLCanvasElement;
  scroller: HTMLElement;
  model: PlayModel;
  scene: Scene;
  schedule(): void;
  pointerTime(): number;
  rowAt(clientY: number): number;
}

/** A press that moves less than this is a click. */
const CLICK = 4;

export function drags(on: Dragged): () => void {
  const stops = [waterfall(on), wheel(on), wholePicture(on)];
  return () => stops.forEach((stop) => stop());
}

function listen<T extends EventTarget>(target: T, handlers: Record<string, (event: never) => void>): () => void {
  for (const [type, handler] of Object.entries(handlers)) {
    target.addEventListener(type, handler as EventListener, { passive: false });
  }
  return () => {
    for (const [type, handler] of Object.entries(handlers)) target.removeEventListener(type, handler as EventListener);
  };
}

function waterfall({ canvas, scroller, model, scene, schedule, rowAt }: Dragged): () => void {
  const fingers = new Map<number, { x: number; y: number }>();
  let start: { x: number; y: number; from: number; to: number; top: number; moved: boolean } | null = null;
  let pinch = 0;
  const left = () => canvas.getBoundingClientRect().left;
  const perPixel = () => (model.window.to - model.window.from) / Math.max(1, canvas.clientWidth);

  function down(event: PointerEvent) {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 2) {
      pinch = spread(fingers);
      start = null;
      return;
    }
    canvas.setPointerCapture(event.pointerId);
    start = { x: event.clientX, y: event.clientY, ...model.window, top: scroller.scrollTop, moved: false };
    if (event.shiftKey) scene.choosing = { from: event.clientX - left(), to: event.clientX - left() };
  }

  function move(event: PointerEvent) {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 2 && pinch > 0) {
      const now = spread(fingers);
      const [a, b] = [...fingers.values()];
      const about = model.window.from + perPixel() * ((a!.x + b!.x) / 2 - left());
      if (now > 10) model.setWindow(zoomed(model.window, pinch / now, about, model.whole));
      pinch = now;
      return;
    }
    scene.pointer = event.pointerType === "touch" ? -1 : event.clientX - left();
    if (!start) {
      scene.hovered = rowAt(event.clientY);
      return schedule();
    }
    const byX = event.clientX - start.x;
    const byY = event.clientY - start.y;
    if (!start.moved && Math.hypot(byX, byY) < CLICK) return;
    start.moved = true;
    if (scene.choosing) {
      scene.choosing.to = event.clientX - left();
      return schedule();
    }
    if (event.pointerType !== "touch") scroller.scrollTop = start.top - byY;
    const by = -byX * ((start.to - start.from) / Math.max(1, canvas.clientWidth));
    if (byX !== 0) model.setWindow(clamped({ from: start.from + by, to: start.to + by }, model.whole));
  }

  function up(event: PointerEvent) {
    fingers.delete(event.pointerId);
    pinch = 0;
    if (scene.choosing && start?.moved) {
      const from = Math.min(scene.choosing.from, scene.choosing.to) * perPixel() + model.window.from;
      const to = Math.max(scene.choosing.from, scene.choosing.to) * perPixel() + model.window.from;
      if (to > from) model.setWindow(clamped({ from, to }, model.whole));
    } else if (start && !start.moved) {
      model.yieldFollow();
      model.select(rowAt(event.clientY), false);
    }
    scene.choosing = null;
    start = null;
    schedule();
  }

  function leave() {
    scene.pointer = -1;
    scene.hovered = -1;
    schedule();
  }

  function twice(event: MouseEvent) {
    const ord = rowAt(event.clientY);
    if (ord >= 0) model.focus(ord);
    else model.showAll();
  }

  return listen(canvas, {
    pointerdown: down,
    pointermove: move,
    pointerup: up,
    pointercancel: up,
    pointerleave: leave,
    dblclick: twice,
  });
}

function spread(fingers: Map<number, { x: number; y: number }>): number {
  const [a, b] = [...fingers.values()];
  return a && b ? Math.abs(a.x - b.x) : 0;
}

function wheel({ canvas, overview, model, pointerTime }: Dragged): () => void {
  function turned(event: WheelEvent) {
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.ctrlKey || event.metaKey || event.altKey || event.currentTarget === overview) {
      event.preventDefault();
      const amount = (event.deltaY || event.deltaX) * pixels;
      model.zoom(Math.exp(Math.max(-120, Math.min(120, amount)) * 0.004), pointerTime());
      return;
    }
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      event.preventDefault();
      model.pan((sideways * pixels) / Math.max(1, canvas.clientWidth));
    }
  }
  const stops = [listen(canvas, { wheel: turned }), listen(overview, { wheel: turned })];
  return () => stops.forEach((stop) => stop());
}

function wholePicture({ overview, model }: Dragged): () => void {
  let start: { share: number; inside: boolean; from: number; to: number } | null = null;
  const shareOf = (event: PointerEvent) => {
    const box = overview.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
  };

  function down(event: PointerEvent) {
    overview.setPointerCapture(event.pointerId);
    const share = shareOf(event);
    const at = share * model.whole;
    // Within a part that is less than the whole, a drag moves that part; elsewhere it chooses another.
    const partly = model.window.to - model.window.from < model.whole * 0.98;
    start = { share, inside: partly && at >= model.window.from && at <= model.window.to, ...model.window };
  }

  function move(event: PointerEvent) {
    if (!start) return;
    const share = shareOf(event);
    if (start.inside) {
      const by = (share - start.share) * model.whole;
      model.setWindow(clamped({ from: start.from + by, to: start.to + by }, model.whole));
    } else if (Math.abs(share - start.share) > 0.004) {
      const from = Math.min(share, start.share) * model.whole;
      const to = Math.max(share, start.share) * model.whole;
      model.setWindow({ from, to });
    }
  }

  function up(event: PointerEvent) {
    if (start && Math.abs(shareOf(event) - start.share) <= 0.004 && !start.inside) {
      const half = (start.to - start.from) / 2;
      const at = start.share * model.whole;
      model.setWindow(clamped({ from: at - half, to: at + half }, model.whole));
    }
    start = null;
  }

  return listen(overview, { pointerdown: down, pointermove: move, pointerup: up, dblclick: () => model.showAll() });
}
