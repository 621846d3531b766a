// What one play's view knows and can do: its spans and those of unfolded child plays, which rows are shown, what time is
// seen, the selection, the search. Drawing reads it through `rows`; what is reactive is for the parts around.

import type { SpanBody, WaitsFor } from "../../api/records";
import type { CallError } from "../../api/error";
import type { Play } from "../../api/generated";
import { PathPieces } from "../../canvas/scene";
import { PlayFeed } from "../../feed/play-feed";
import { clock } from "../../lib/clock.svelte";
import { hasEnded, isBad } from "../../lib/status";
import { toasts } from "../../lib/toast.svelte";
import { criticalPath } from "../../model/critical";
import { attemptStarts, Below, failureOrigins, newestRunning, Rows } from "../../model/rows";
import { neighbour } from "../../model/search";
import { SpanStore } from "../../model/store";
import { around, clamped, compressed, panned, TimeMap, type Window, zoomed } from "../../model/time";
import { WindowRows } from "../../feed/windows";
import { FarSpans } from "./far-spans";
import { ChildPlays } from "./child-plays";
import { Finder } from "./finder.svelte";
import { LocalRows } from "./local-rows";

/** Above this many spans, sums over all of them are made anew at most so often. */
const MANY = 20_000;
const SUMS_EVERY = 250;

export class PlayModel {
  readonly store = new SpanStore();
  readonly rows = new Rows();
  readonly below = new Below();
  private readonly local = new LocalRows(this.store, this.rows, this.below);
  /** Where the play is too large to be held here. */
  windows = $state.raw<WindowRows | null>(null);
  map = new TimeMap();
  window: Window = { from: 0, to: 1 };
  pieces: PathPieces | null = null;
  attempts: number[] = [];

  play = $state.raw<Play>();
  /** What it waits for, as long as it does. */
  waits = $state.raw<WaitsFor[]>([]);
  ready = $state(false);
  error = $state.raw<CallError>();
  selected = $state(-1);
  /** Rises when spans, rows or sums changed. */
  revision = $state(0);
  follow = $state(false);
  /** The whole is seen, and grows with the play. */
  fit = $state(true);
  critical = $state(false);
  compress = $state(false);

  readonly finder = new Finder(
    this.store,
    () => [this.feed, ...this.children.feeds()],
    (hits, ids) => {
      this.local.hits = hits;
      if (this.windows) this.windows.hits = new Set(ids);
      this.redraw();
    },
    () => this.windows === null,
  );

  /** How wide the waterfall is. */
  pixels = 1_000;
  /** The view draws a new picture. */
  redraw: () => void = () => {};
  /** The view brings a row into sight. */
  show: (row: number) => void = () => {};

  private readonly feed: PlayFeed;
  private readonly children = new ChildPlays(this.store, () => this.refresh());
  private refreshing = false;
  private firstShape = true;
  private countedAt = 0;
  private builtShape = -1;
  private sumsLater: ReturnType<typeof setTimeout> | undefined;
  private wanted: string | null;
  private closed = false;
  private far: FarSpans | null = null;

  constructor(
    readonly sid: string,
    span: string | null,
  ) {
    this.wanted = span;
    this.feed = new PlayFeed(sid, this.store, -1, {
      play: (play) => this.takePlay(play),
      spans: () => (this.windows ? this.windows.stale() : this.refresh()),
      ready: () => {
        this.ready = true;
        this.refresh();
      },
      failed: (error) => {
        this.error = error;
      },
      tooLarge: () => void this.openWindows(),
    });
  }

  close(): void {
    this.closed = true;
    this.windows?.close();
    clearTimeout(this.sumsLater);
    this.feed.close();
    this.children.close();
  }

  get source(): LocalRows | WindowRows {
    return this.windows ?? this.local;
  }

  rowOf(ord: number): number {
    return ord < 0 ? -1 : this.windows ? this.windows.rowOf(ord) : (this.rows.rowOf[ord] ?? -1);
  }

  /** The span of a row, the nearest row that there is; -1 where none is. */
  ordAt(row: number): number {
    const at = Math.max(0, Math.min(this.source.count - 1, row));
    return this.source.count === 0 ? -1 : this.windows ? this.windows.ordAt(at) : this.rows.order[at]!;
  }

  isOpen(ord: number): boolean {
    if (this.windows) return this.windows.isOpen(ord);
    return this.rows.open[ord] === 1 && this.store.firstChild[ord]! >= 0;
  }

  private async openWindows(): Promise<void> {
    const windows = new WindowRows(
      this.sid,
      this.store,
      0,
      () => this.pixels,
      () => this.refresh(),
      (message) => toasts.fail(message),
    );
    this.windows = windows;
    await windows.start(null);
    this.feed.followFrom(windows.seq);
    this.ready = true;
    this.refresh();
    const { cause } = this.play ?? {};
    const first = this.wanted ?? cause?.last_span?.span_id;
    this.far = new FarSpans(windows, this.store, (ord) => this.select(ord));
    if (first) await this.far.show({ span_id: first });
  }

  get live(): boolean {
    return this.play !== undefined && !hasEnded(this.play.status);
  }

  /** Real time, in the time of the store: now, or when everything had ended. */
  get now(): number {
    const { play, store } = this;
    if (!play) return 1;
    if (!hasEnded(play.status)) return Math.max(clock.exactly() - play.created_at, store.latest, 1);
    return Math.max((play.completed_at ?? play.created_at) - play.created_at, store.latest, 0.001);
  }

  /** The length of everything in shown time. */
  get whole(): number {
    return this.map.toShown(this.now);
  }

  private takePlay(play: Play): void {
    const first = this.play === undefined;
    this.play = play;
    if (first) this.follow = !hasEnded(play.status) && !this.wanted;
    if (hasEnded(play.status)) this.follow = false;
    this.refresh();
  }

  /** Brings rows and sums up to date before the next picture. */
  refresh(): void {
    if (this.refreshing || this.closed) return;
    this.refreshing = true;
    requestAnimationFrame(() => {
      this.refreshing = false;
      if (!this.closed) this.rebuild();
    });
  }

  private rebuild(): void {
    const { store, rows } = this;
    if (this.windows) return this.rebuildWindows(this.windows);
    if (this.firstShape && store.count > 0 && this.ready) {
      this.firstShape = false;
      this.sums();
      const origins = failureOrigins(store, this.below);
      rows.openFirst(store, origins.subarray(0, 50));
      this.builtShape = -1;
      this.selectFirst(origins);
    }
    if (this.builtShape !== store.shape) this.buildRows();
    if (store.count > MANY && performance.now() - this.countedAt < SUMS_EVERY) {
      this.sumsLater ??= setTimeout(() => {
        this.sumsLater = undefined;
        this.refresh();
      }, SUMS_EVERY);
    } else {
      this.sums();
    }
    if (this.fit) this.window = clamped({ from: 0, to: this.whole * (this.live ? 1.04 : 1.02) }, this.whole);
    if (this.follow) this.showNewest();
    this.revision += 1;
    this.redraw();
  }

  private rebuildWindows(windows: WindowRows): void {
    if (this.fit) this.window = clamped({ from: 0, to: this.whole * 1.02 }, this.whole);
    windows.setSeen(this.window);
    if (this.follow) this.show(windows.count - 1);
    this.revision += 1;
    this.redraw();
  }

  private buildRows(): void {
    this.rows.build(this.store);
    this.builtShape = this.store.shape;
  }

  private sums(): void {
    this.countedAt = performance.now();
    this.below.count(this.store);
    if (this.compress) this.map = compressed(this.store, this.now);
    this.pieces = this.critical ? this.path() : null;
    this.attempts = attemptStarts(this.store);
  }

  private path(): PathPieces | null {
    if (this.store.firstRoot < 0) return null;
    const path = criticalPath(this.store, this.store.firstRoot, this.now);
    this.local.path = path;
    return new PathPieces(path, this.store.count);
  }

  /** The span of the address, else of a failed play where the failure began: the reason is seen without a click. */
  private selectFirst(origins: Int32Array): void {
    if (this.wanted !== null) {
      const ord = this.ordOf(this.wanted);
      if (ord >= 0) return this.select(ord);
      const [child, span] = this.wanted.split("/");
      if (child && span) void this.openChildFor(child);
      return;
    }
    if (!this.play || !isBad(this.play.status)) return;
    const last = this.play.cause?.last_span;
    const ord = last ? this.store.find(0, last.span_id) : -1;
    if (ord >= 0) this.select(ord);
    else if (origins.length > 0) this.select(origins[0]!);
  }

  /** A span by its address; -1 where it is not here. */
  ordOf(address: string): number {
    const slash = address.indexOf("/");
    if (slash < 0) return this.store.find(0, address);
    const sid = address.slice(0, slash);
    const part = this.store.parts.findIndex((one) => one.sid === sid);
    return part < 0 ? -1 : this.store.find(part, address.slice(slash + 1));
  }

  private async openChildFor(sid: string): Promise<void> {
    for (const [ord, child] of this.store.childPlays) {
      if (child === sid) this.openChild(ord);
    }
  }

  select(ord: number, reveal = true): void {
    this.selected = ord;
    if (ord >= 0 && reveal) {
      if (!this.windows && this.rows.reveal(this.store, ord)) this.buildRows();
      this.show(this.rowOf(ord));
    }
    this.revision += 1;
    this.redraw();
  }

  feedOf(ord: number): PlayFeed {
    return this.children.ofPart(this.store.part[ord]!) ?? this.feed;
  }

  get own(): PlayFeed {
    return this.feed;
  }

  body(ord: number): Promise<SpanBody> {
    return this.feedOf(ord).span(this.store.ids[ord]!);
  }

  // --- Rows

  toggle(ord: number, open?: boolean): void {
    if (this.windows) return void this.windows.toggle(ord, open);
    const { store, rows } = this;
    const child = store.childPlays.get(ord);
    if (child !== undefined && !this.children.has(ord) && open !== false) {
      rows.setOpen(ord, true);
      this.openChild(ord);
      return;
    }
    if (store.firstChild[ord]! < 0) return;
    rows.setOpen(ord, open ?? rows.open[ord] === 0);
    this.rebuildNow();
  }

  setAll(open: boolean): void {
    if (this.windows) {
      if (open) toasts.say("This play has too many spans to unfold all of them.");
      else void this.windows.closeAll();
      return;
    }
    this.rows.setAll(this.store, open, open ? 0 : 1);
    this.rebuildNow();
    if (this.selected >= 0) this.show(this.rowOf(this.selected));
  }

  setBelow(ord: number, open: boolean): void {
    if (this.windows) return this.toggle(ord, open);
    this.rows.setBelow(this.store, ord, open);
    this.rebuildNow();
  }

  private rebuildNow(): void {
    this.buildRows();
    this.revision += 1;
    this.redraw();
  }

  /** Unfolds the play that a span started, in place. */
  private openChild(ord: number): void {
    if (!this.play) return;
    this.children.open(ord, this.play.created_at, (sid) => {
      this.refresh();
      if (!this.wanted?.startsWith(`${sid}/`)) return;
      const wanted = this.ordOf(this.wanted);
      this.wanted = null;
      if (wanted >= 0) requestAnimationFrame(() => this.select(wanted));
    });
  }

  // --- Time

  setWindow(window: Window): void {
    this.window = window;
    this.fit = false;
    this.follow = false;
    this.windows?.setSeen(window);
    this.redraw();
  }

  zoom(factor: number, about: number): void {
    this.setWindow(zoomed(this.window, factor, about, this.whole));
  }

  pan(share: number): void {
    this.setWindow(panned(this.window, (this.window.to - this.window.from) * share, this.whole));
  }

  showAll(): void {
    this.fit = true;
    this.refresh();
  }

  focus(ord: number): void {
    const { store, map } = this;
    if (ord < 0) return this.showAll();
    const end = store.end[ord]! < 0 ? this.now : store.end[ord]!;
    this.setWindow(around(map.toShown(store.start[ord]!), map.toShown(end), this.whole));
    this.show(this.rowOf(ord));
  }

  setCompress(on: boolean): void {
    if (this.windows) return this.needsAll("Idle gaps");
    const seen = { from: this.map.toReal(this.window.from), to: this.map.toReal(this.window.to) };
    this.compress = on;
    this.map = on ? compressed(this.store, this.now) : new TimeMap();
    this.window = clamped({ from: this.map.toShown(seen.from), to: this.map.toShown(seen.to) }, this.whole);
    this.refresh();
  }

  setCritical(on: boolean): void {
    if (this.windows) return this.needsAll("The critical path");
    this.critical = on;
    this.local.path = null;
    this.pieces = on ? this.path() : null;
    this.revision += 1;
    this.redraw();
  }

  setFollow(on: boolean): void {
    this.follow = on && this.live;
    if (this.follow) this.fit = true;
    this.refresh();
  }

  private needsAll(what: string): void {
    toasts.say(`${what} needs all spans of the play, and it has too many for that. Rows with failures say so: unfold them.`);
  }

  /** All spans of the play, folded away or not. */
  get spanCount(): number {
    return this.windows ? this.windows.spans : this.store.count;
  }

  /** Whatever the person does by hand goes before following. */
  yieldFollow(): void {
    if (this.follow) this.follow = false;
  }

  private showNewest(): void {
    const { store, rows } = this;
    for (let ord = store.count - 1; ord >= Math.max(0, store.count - 200); ord--) {
      const row = rows.rowOf[ord] ?? -1;
      if (row >= 0) return this.show(row);
    }
  }

  // --- Search

  step(step: 1 | -1): void {
    if (this.far) return void this.far.step(this.finder.ids, this.selected, step);
    const ord = neighbour(this.finder.found, this.selected, step);
    if (ord >= 0) this.select(ord);
  }

  /** The next place where a failure began. */
  stepFailure(step: 1 | -1): void {
    if (this.far) return void this.far.stepFailure(this.selected, step);
    const ord = neighbour(failureOrigins(this.store, this.below), this.selected, step);
    if (ord >= 0) this.select(ord);
    else toasts.say("Nothing failed in this play.");
  }

  /** The newest spans that run, for the head. */
  runningNow(most: number): number[] {
    return newestRunning(this.store, this.below, most);
  }
}
