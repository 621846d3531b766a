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
  private turn = 0;

  constructor(
    private readonly store: SpanStore,
    private readonly feeds: () => PlayFeed[],
    /** Is told which spans are found: ord to 1. */
    private readonly apply: (hits: Uint8Array<ArrayBuffer>) => void,
  ) {}

  async search(query: string): Promise<void> {
    this.query = query;
    const turn = ++this.turn;
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

  private take(found: Int32Array): void {
    const hits = new Uint8Array(this.store.count);
    for (const ord of found) hits[ord] = 1;
    this.found = found;
    this.apply(hits);
  }
}
