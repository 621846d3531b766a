// W and S zoom, A and D pan, for as long as a key is held: smooth, and as fast on any machine.

import type { PlayModel } from "./model.svelte";

/** Of what is seen, a second. */
const PAN_SPEED = 1.1;
/** By so much nearer, a second. */
const ZOOM_SPEED = 5;
/** A key that is only touched still moves a little. */
const LEAST_MS = 70;

export class Motion {
  private held = new Map<string, number>();
  private frame = 0;
  private before = 0;
  private readonly onUp = (event: KeyboardEvent) => this.release(event.key.toLowerCase());
  private readonly onBlur = () => this.held.clear();

  constructor(
    private readonly model: PlayModel,
    private readonly about: () => number,
  ) {
    addEventListener("keyup", this.onUp);
    addEventListener("blur", this.onBlur);
  }

  press(key: string): void {
    if (this.held.has(key)) return;
    this.held.set(key, performance.now());
    if (this.frame === 0) {
      this.before = performance.now();
      this.frame = requestAnimationFrame(() => this.move());
    }
  }

  private release(key: string): void {
    const since = this.held.get(key);
    if (since === undefined) return;
    const left = LEAST_MS - (performance.now() - since);
    if (left > 0) setTimeout(() => this.held.delete(key), left);
    else this.held.delete(key);
  }

  private move(): void {
    this.frame = 0;
    const now = performance.now();
    const seconds = Math.min(0.1, (now - this.before) / 1_000);
    this.before = now;
    if (this.held.size === 0) return;
    let pan = 0;
    let zoom = 0;
    if (this.held.has("a")) pan -= 1;
    if (this.held.has("d")) pan += 1;
    if (this.held.has("w")) zoom -= 1;
    if (this.held.has("s")) zoom += 1;
    if (pan !== 0) this.model.pan(pan * PAN_SPEED * seconds);
    if (zoom !== 0) this.model.zoom(ZOOM_SPEED ** (zoom * seconds), this.about());
    this.frame = requestAnimationFrame(() => this.move());
  }

  stop(): void {
    removeEventListener("keyup", this.onUp);
    removeEventListener("blur", this.onBlur);
    cancelAnimationFrame(this.frame);
    this.held.clear();
  }
}
