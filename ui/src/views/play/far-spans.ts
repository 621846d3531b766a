// Of a play in windows most spans are not here: goes to one of them, and from one that is looked for to the next.

import { messageOf } from "../../api/error";
import type { Reveal } from "../../api/records";
import type { WindowRows } from "../../feed/windows";
import { toasts } from "../../lib/toast.svelte";
import type { SpanStore } from "../../model/store";

export class FarSpans {
  constructor(
    private readonly windows: WindowRows,
    private readonly store: SpanStore,
    private readonly select: (ord: number) => void,
  ) {}

  /** Whether there is such a span. */
  async show(span: Reveal): Promise<boolean> {
    try {
      const ord = await this.windows.reveal(span);
      if (ord >= 0) this.select(ord);
      return ord >= 0;
    } catch (error) {
      toasts.fail(messageOf(error));
      return true;
    }
  }

  /** The next of these spans after the one that is selected, where that is one of them. */
  async step(ids: readonly string[], selected: number, step: 1 | -1): Promise<void> {
    if (ids.length === 0) return;
    const at = selected < 0 ? -1 : ids.indexOf(this.store.ids[selected]!);
    const next = at < 0 ? (step > 0 ? 0 : ids.length - 1) : (at + step + ids.length) % ids.length;
    await this.show({ span_id: ids[next]! });
  }

  /** The next place where a failure began; after the last one the first. */
  async stepFailure(selected: number, step: 1 | -1): Promise<void> {
    const failure = step > 0 ? "next" : "previous";
    const from = selected < 0 ? undefined : this.store.ids[selected];
    if (from && (await this.show({ span_id: from, failure }))) return;
    if (!(await this.show({ failure }))) toasts.say("Nothing failed in this play.");
  }
}
