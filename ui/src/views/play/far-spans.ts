// Of a play in windows most spans are not here: goes to one of them, and from one that is looked for to the next.

import { messageOf } from "../../api/error";
import type { PlayFeed } from "../../feed/play-feed";
import type { WindowRows } from "../../feed/windows";
import { toasts } from "../../lib/toast.svelte";
import type { SpanStore } from "../../model/store";

export class FarSpans {
  private failures: readonly string[] | null = null;

  constructor(
    private readonly windows: WindowRows,
    private readonly feed: PlayFeed,
    private readonly store: SpanStore,
    private readonly select: (ord: number) => void,
  ) {}

  async show(span: string): Promise<void> {
    try {
      const ord = await this.windows.reveal(span);
      if (ord >= 0) this.select(ord);
    } catch (error) {
      toasts.fail(messageOf(error));
    }
  }

  /** The next of these spans after the one that is selected, where that is one of them. */
  async step(ids: readonly string[], selected: number, step: 1 | -1): Promise<void> {
    if (ids.length === 0) return;
    const at = selected < 0 ? -1 : ids.indexOf(this.store.ids[selected]!);
    const next = at < 0 ? (step > 0 ? 0 : ids.length - 1) : (at + step + ids.length) % ids.length;
    await this.show(ids[next]!);
  }

  /** The next place where a failure began. */
  async stepFailure(selected: number, step: 1 | -1, live: boolean): Promise<void> {
    try {
      if (!this.failures || live) this.failures = (await this.feed.failed()).map((match) => match.span_id);
    } catch (error) {
      toasts.fail(messageOf(error));
      return;
    }
    if (this.failures.length === 0) toasts.say("Nothing failed in this play.");
    await this.step(this.failures, selected, step);
  }
}
