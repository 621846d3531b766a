// Child plays that were unfolded in a play: each has a feed of its own into the same store.

import { messageOf } from "../../api/error";
import { PlayFeed } from "../../feed/play-feed";
import { hasEnded } from "../../lib/status";
import { toasts } from "../../lib/toast.svelte";
import type { SpanStore } from "../../model/store";

/** Of those that run: a browser grants six connections to a server. */
const MOST_LIVE = 3;

export class ChildPlays {
  private byOrd = new Map<number, PlayFeed>();

  constructor(
    private readonly store: SpanStore,
    private readonly changed: () => void,
  ) {}

  /** Unfolds the play that the span `ord` started. `base`: when the play that is shown was created. */
  open(ord: number, base: number, ready: (sid: string) => void): void {
    const sid = this.store.childPlays.get(ord);
    if (!sid || this.byOrd.has(ord)) return;
    const live = this.feeds().filter((child) => child.play && !hasEnded(child.play.status)).length;
    if (live >= MOST_LIVE) {
      toasts.fail("Three running child plays are unfolded already; open this one in a tab of its own.");
      return;
    }
    const handlers = {
      play: () => {},
      spans: this.changed,
      ready: () => ready(sid),
      failed: (error: unknown) => toasts.fail(messageOf(error)),
      tooLarge: () => toasts.say("That play has too many spans to be unfolded here; open it by itself."),
    };
    this.byOrd.set(ord, new PlayFeed(sid, this.store, ord, handlers, base));
  }

  has(ord: number): boolean {
    return this.byOrd.has(ord);
  }

  feeds(): PlayFeed[] {
    return [...this.byOrd.values()];
  }

  ofPart(part: number): PlayFeed | undefined {
    return part === 0 ? undefined : this.feeds().find((child) => child.part === part);
  }

  close(): void {
    for (const child of this.byOrd.values()) child.close();
  }
}
