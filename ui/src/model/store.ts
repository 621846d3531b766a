// The spans of a play, and of child plays that were unfolded in it, in columns. A span is its `ord`, the place at which it
// was added: a parent's is lower than its children's. Times are milliseconds since the play was created. Nothing
// here knows the page or the network.

import { attemptOf, HAS_CHILD_PLAY, REPLAYED, RUNNING } from "./words";

export interface SpanInput {
  id: string;
  /** The ord of the parent, or -1: under the root of its play. */
  parent: number;
  name: string;
  kind: number;
  status: number;
  start: number;
  /** -1 while it runs. */
  end: number;
  flags: number;
}

/** One play whose spans are here: the first is the play that is shown. */
export interface Part {
  sid: string;
  /** The ord of the span that started it; -1 for the play that is shown. */
  under: number;
  /** Its creation, in the time of the store. */
  offset: number;
  attempts: number;
  root: number;
  ords: Map<string, number> | undefined;
}

export class SpanStore {
  count = 0;
  ids: string[] = [];
  names: string[] = [];
  parent = new Int32Array(0);
  name = new Int32Array(0);
  depth = new Uint16Array(0);
  kind = new Uint8Array(0);
  status = new Uint8Array(0);
  flags = new Uint8Array(0);
  attempt = new Uint16Array(0);
  part = new Uint16Array(0);
  start = new Float64Array(0);
  end = new Float64Array(0);
  firstChild = new Int32Array(0);
  lastChild = new Int32Array(0);
  nextSibling = new Int32Array(0);
  firstRoot = -1;
  private lastRoot = -1;
  parts: Part[] = [];
  /** `ord` to the sid of the play that it started. */
  childPlays = new Map<number, string>();
  /** Rises with each change; `shape` only where spans were added. */
  version = 0;
  shape = 0;
  running = 0;
  latest = 0;
  private nameNumbers = new Map<string, number>();

  addPart(sid: string, under: number, offset: number, attempts: number): number {
    this.parts.push({ sid, under, offset, attempts, root: -1, ords: new Map() });
    return this.parts.length - 1;
  }

  reserve(wanted: number): void {
    const have = this.parent.length;
    if (wanted <= have) return;
    const size = Math.max(wanted, have * 2, 256);
    this.parent = grown(this.parent, new Int32Array(size));
    this.name = grown(this.name, new Int32Array(size));
    this.depth = grown(this.depth, new Uint16Array(size));
    this.kind = grown(this.kind, new Uint8Array(size));
    this.status = grown(this.status, new Uint8Array(size));
    this.flags = grown(this.flags, new Uint8Array(size));
    this.attempt = grown(this.attempt, new Uint16Array(size));
    this.part = grown(this.part, new Uint16Array(size));
    this.start = grown(this.start, new Float64Array(size));
    this.end = grown(this.end, new Float64Array(size));
    this.firstChild = grown(this.firstChild, new Int32Array(size));
    this.lastChild = grown(this.lastChild, new Int32Array(size));
    this.nextSibling = grown(this.nextSibling, new Int32Array(size));
  }

  add(part: number, span: SpanInput): number {
    const ord = this.count;
    if (ord === this.parent.length) this.reserve(ord + 1);
    this.count += 1;
    const of = this.parts[part]!;
    let parent = span.parent;
    if (parent < 0) parent = of.root >= 0 ? of.root : of.under;
    if (of.root < 0) of.root = ord;
    this.ids.push(span.id);
    of.ords?.set(span.id, ord);
    this.parent[ord] = parent;
    this.name[ord] = this.nameNumber(span.name);
    this.kind[ord] = span.kind;
    this.status[ord] = span.status;
    this.flags[ord] = span.flags;
    this.part[ord] = part;
    this.attempt[ord] = of.attempts > 1 ? attemptOf(span.id, of.attempts) : 1;
    const earlier = span.start < of.offset || (span.status === REPLAYED && parent >= 0 && span.start < this.start[parent]!);
    const start = earlier ? this.placeOfReused(parent, of.offset) : span.start;
    const end = span.status === RUNNING ? -1 : earlier ? start : Math.max(span.end, start);
    this.start[ord] = start;
    this.end[ord] = end;
    this.firstChild[ord] = -1;
    this.lastChild[ord] = -1;
    this.nextSibling[ord] = -1;
    if (span.status === RUNNING) this.running += 1;
    this.latest = Math.max(this.latest, start, end);
    this.link(ord, parent);
    this.version += 1;
    this.shape += 1;
    return ord;
  }

  private link(ord: number, parent: number): void {
    if (parent < 0) {
      this.depth[ord] = 0;
      if (this.lastRoot >= 0) this.nextSibling[this.lastRoot] = ord;
      else this.firstRoot = ord;
      this.lastRoot = ord;
      return;
    }
    this.depth[ord] = Math.min(this.depth[parent]! + 1, 0xffff);
    const last = this.lastChild[parent]!;
    if (last >= 0) this.nextSibling[last] = ord;
    else this.firstChild[parent] = ord;
    this.lastChild[parent] = ord;
  }

  /** A step that an earlier attempt or another play did is shown where it was reused: after what came before it. */
  private placeOfReused(parent: number, floor: number): number {
    if (parent < 0) return floor;
    const before = this.lastChild[parent]!;
    return before >= 0 ? Math.max(this.start[before]!, this.end[before]!) : this.start[parent]!;
  }

  /** What changes of a span while it runs and when it ends. */
  update(ord: number, status: number, end: number, flags: number): void {
    const was = this.status[ord]!;
    if (was === RUNNING && status !== RUNNING) this.running -= 1;
    if (was !== RUNNING && status === RUNNING) this.running += 1;
    this.status[ord] = status;
    this.end[ord] = status === RUNNING ? -1 : Math.max(end, this.start[ord]!);
    this.flags[ord] = flags;
    this.latest = Math.max(this.latest, this.end[ord]!);
    this.version += 1;
  }

  setChildPlay(ord: number, sid: string): void {
    this.childPlays.set(ord, sid);
    this.flags[ord] = this.flags[ord]! | HAS_CHILD_PLAY;
    this.version += 1;
  }

  flag(ord: number, flag: number): void {
    if (this.flags[ord]! & flag) return;
    this.flags[ord] = this.flags[ord]! | flag;
    this.version += 1;
  }

  find(part: number, id: string): number {
    const of = this.parts[part];
    if (!of) return -1;
    of.ords ??= this.ordsOf(part);
    return of.ords.get(id) ?? -1;
  }

  /** Of many spans at once the ids are looked up only when one is asked for: that is a good part of the time to add them. */
  addMany(part: number, count: number, span: (at: number, into: SpanInput) => void): void {
    const of = this.parts[part]!;
    of.ords = undefined;
    this.reserve(this.count + count);
    const input: SpanInput = { id: "", parent: -1, name: "", kind: 0, status: 0, start: 0, end: 0, flags: 0 };
    for (let at = 0; at < count; at++) {
      span(at, input);
      this.add(part, input);
    }
  }

  private ordsOf(part: number): Map<string, number> {
    const ords = new Map<string, number>();
    for (let ord = 0; ord < this.count; ord++) if (this.part[ord] === part) ords.set(this.ids[ord]!, ord);
    return ords;
  }

  nameOf(ord: number): string {
    return this.names[this.name[ord]!]!;
  }

  private nameNumber(name: string): number {
    const known = this.nameNumbers.get(name);
    if (known !== undefined) return known;
    this.nameNumbers.set(name, this.names.length);
    this.names.push(name);
    return this.names.length - 1;
  }

  /** How a span is named in an address: its id, with its play's sid in front if that is a child play. */
  address(ord: number): string {
    const part = this.part[ord]!;
    return part === 0 ? this.ids[ord]! : `${this.parts[part]!.sid}/${this.ids[ord]!}`;
  }
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
