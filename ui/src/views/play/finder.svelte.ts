// The search in a play: names at once, tags, errors and logs as soon as their source has answered.

import type { PlayFeed } from "../../feed/play-feed";
import { findByName, merged } from "../../model/search";
import type { SpanStore } from "../../model/store";

/** A shorter text is looked for in names only. */
const LEAST = 2;

export class Finder {
  query = $state("");
  /** Ords, in start order. */
  found = $state.raw<Int32Array>(new Int32Array(0));
  /** Where not all spans are here: the ids of what the server found, in start order. */
  ids = $state.raw<readonly string[]>([]);
  private turn = 0;

  constructor(
    private readonly store: SpanStore,
    private readonly feeds: () => PlayFeed[],
    /** Is told which spans are found: ord to 1. */
    private readonly apply: (hits: Uint8Array<ArrayBuffer>, ids: readonly string[]) => void,
    private readonly allHere: () => boolean,
  ) {}

  get count(): number {
    return this.allHere() ? this.found.length : this.ids.length;
  }

  async search(query: string): Promise<void> {
    this.query = query;
    const turn = ++this.turn;
    this.ids = [];
    if (!this.allHere()) return this.searchThere(query, turn);
    const byName = findByName(this.store, query);
    this.take(byName);
    if (query.length < LEAST) return;
    const feeds = this.feeds();
    const answers = await Promise.all(feeds.map((feed) => feed.find(query).catch(() => [])));
    if (turn !== this.turn) return;
    const more: number[] = [];
    answers.forEach((matches, at) => {
      for (const match of matches) {
        const ord = this.store.find(feeds[at]!.part, match.span_id);
        if (ord >= 0) more.push(ord);
      }
    });
    if (more.length > 0) this.take(merged(byName, Int32Array.from(more)));
  }

  private async searchThere(query: string, turn: number): Promise<void> {
    const matches = query === "" ? [] : await this.feeds()[0]!.find(query).catch(() => []);
    if (turn !== this.turn) return;
    this.ids = matches.map((match) => match.span_id);
    this.apply(new Uint8Array(this.store.count), this.ids);
  }

  private take(found: Int32Array): void {
    const hits = new Uint8Array(this.store.count);
    for (const ord of found) hits[ord] = 1;
    this.found = found;
    this.apply(hits, []);
  }
}
