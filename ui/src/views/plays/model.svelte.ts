// The list of plays: pages that are loaded as far as one scrolls, kept up to date by what comes.

import type { BriefPlay, Overview } from "../../api/records";
import { messageOf } from "../../api/error";
import { listPlays, watchPlays } from "../../api/plays";
import { call } from "../../api/rpc";
import { clock } from "../../lib/clock.svelte";
import { placeOf, put, take } from "../../model/play-list";
import { type Filter, fits, paramsOf } from "./filter";

const FIRST_PAGE = 200;
const PAGE = 2_000;
/** So many rows before the end of what is loaded the next page is fetched. */
const AHEAD = 150;
const OVERVIEW_EVERY = 2_500;
const BUCKETS = 72;

export class PlaysModel {
  list: BriefPlay[] = [];
  /** Rises when the list changed. */
  revision = $state(0);
  loaded = $state(false);
  problem = $state("");
  overview = $state.raw<Overview>();
  /** There are more than are loaded. */
  more = $state(true);
  private filter: Filter | undefined;
  private cursor: string | null = null;
  private turn = 0;
  private loading = false;
  private wanted = 0;
  private overviewTimer: ReturnType<typeof setTimeout> | undefined;
  private frame = 0;
  private readonly stops: (() => void)[];

  constructor() {
    this.stops = [
      watchPlays({
        plays: (plays) => this.take(plays),
        anew: () => this.filter && void this.show(this.filter, false),
      }),
    ];
  }

  close(): void {
    for (const stop of this.stops) stop();
    clearTimeout(this.overviewTimer);
    cancelAnimationFrame(this.frame);
    this.turn += 1;
  }

  /** How many rows there are, loaded or not. */
  get rows(): number {
    if (!this.more) return this.list.length;
    const { overview, filter } = this;
    if (!overview) return this.list.length;
    // Counts are of all statuses.
    const total = filter?.statuses.length
      ? filter.statuses.reduce((sum, status) => sum + (overview.by_status[status] ?? 0), 0)
      : overview.total;
    return Math.max(this.list.length, total);
  }

  async show(filter: Filter, clear = true): Promise<void> {
    const turn = ++this.turn;
    this.filter = filter;
    this.loading = false;
    if (clear) {
      this.wanted = 0;
      this.overview = undefined;
    }
    try {
      const page = await listPlays({ ...paramsOf(filter, clock.exactly()), limit: FIRST_PAGE });
      if (turn !== this.turn) return;
      this.list = page.items;
      this.cursor = page.next_cursor;
      this.more = page.next_cursor !== null;
      this.problem = "";
    } catch (error) {
      if (turn !== this.turn) return;
      this.problem = messageOf(error);
    }
    this.loaded = true;
    this.changed();
    void this.readOverview();
    // A page can be short where a text is looked for; and what was seen before is seen again.
    if (this.list.length < FIRST_PAGE / 4 || this.wanted + AHEAD > this.list.length) void this.loadMore();
  }

  /** Rows up to `to` are seen. */
  seen(to: number): void {
    this.wanted = to;
    if (this.more && to + AHEAD > this.list.length) void this.loadMore();
  }

  private async loadMore(): Promise<void> {
    if (this.loading || !this.more || !this.filter || this.cursor === null) return;
    this.loading = true;
    const { turn } = this;
    try {
      // Far behind what is seen (a dragged scrollbar): larger pages.
      const limit = this.wanted - this.list.length > 5 * PAGE ? 10_000 : PAGE;
      const page = await listPlays({ ...paramsOf(this.filter, clock.exactly()), cursor: this.cursor, limit });
      if (turn !== this.turn) return;
      const last = this.list[this.list.length - 1]?.sid;
      const { items } = page;
      this.list = this.list.concat(last === undefined ? items : items.filter((play) => play.sid < last));
      this.cursor = page.next_cursor;
      this.more = page.next_cursor !== null;
      this.problem = "";
    } catch (error) {
      if (turn === this.turn) this.problem = messageOf(error);
    } finally {
      if (turn === this.turn) this.loading = false;
    }
    if (turn !== this.turn) return;
    this.changed();
    if (this.more && !this.problem && this.wanted + AHEAD > this.list.length) void this.loadMore();
  }

  private take(plays: BriefPlay[]): void {
    if (!this.filter || !this.loaded) return;
    const now = clock.exactly();
    let any = false;
    for (const play of plays) {
      if (fits(this.filter, play, now)) {
        // What is older than what is loaded comes with its page.
        if (this.more && placeOf(this.list, play.sid) >= this.list.length) continue;
        const known = this.list[placeOf(this.list, play.sid)];
        if (known?.sid === play.sid && same(known, play)) continue;
        put(this.list, play);
        any = true;
      } else if (take(this.list, play.sid)) any = true;
    }
    if (!any) return;
    this.changed();
    this.overviewLater();
  }

  private changed(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.revision += 1;
    });
  }

  private overviewLater(): void {
    this.overviewTimer ??= setTimeout(() => {
      this.overviewTimer = undefined;
      void this.readOverview();
    }, OVERVIEW_EVERY);
  }

  private async readOverview(): Promise<void> {
    const { filter, turn } = this;
    if (!filter) return;
    // Counts are of all statuses: they are what one chooses from.
    const { brief: _brief, statuses: _statuses, ...params } = paramsOf(filter, clock.exactly());
    try {
      const found = await call("play_overview", { ...params, buckets: BUCKETS });
      if (turn === this.turn) this.overview = found;
    } catch {
      // The list tells what is wrong.
    }
  }
}

function same(a: BriefPlay, b: BriefPlay): boolean {
  return a.status === b.status && a.attempt === b.attempt && a.completed_at === b.completed_at && a.started_at === b.started_at && a.waits_for?.length === b.waits_for?.length;
}
