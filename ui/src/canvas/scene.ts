// What a picture of the waterfall is made from. The view fills it; the painter only reads.

import type { CriticalPath } from "../model/critical";
import type { TimeMap, Window } from "../model/time";
import type { RowBuffer } from "./row-buffer";

export const ROW_HEIGHT = 24;
export const AXIS_HEIGHT = 26;

export interface Scene {
  rows: RowBuffer;
  /** How far the first row of the buffer is above the upper edge (0 or negative), in pixels. */
  shift: number;
  window: Window;
  map: TimeMap;
  /** Real time: where running spans end. */
  now: number;
  live: boolean;
  /** Real time of the end of what is shown. */
  end: number;
  selected: number;
  hovered: number;
  /** x of the pointer, or -1. */
  pointer: number;
  path: PathPieces | null;
  /** A stretch that is being chosen, in pixels. */
  choosing: { from: number; to: number } | null;
  /** Real times at which further attempts began. */
  attempts: readonly number[];
}

/** The pieces of the critical path by span. */
export class PathPieces {
  private readonly first: Int32Array;
  private readonly next: Int32Array;

  constructor(
    readonly path: CriticalPath,
    spans: number,
  ) {
    this.first = new Int32Array(spans).fill(-1);
    this.next = new Int32Array(path.count).fill(-1);
    for (let at = path.count - 1; at >= 0; at--) {
      const ord = path.ord[at]!;
      this.next[at] = this.first[ord]!;
      this.first[ord] = at;
    }
  }

  firstOf(ord: number): number {
    return ord < this.first.length ? this.first[ord]! : -1;
  }

  nextOf(piece: number): number {
    return this.next[piece]!;
  }
}
