// One of the two plays that are compared: its record, its version and its spans.

import type { CallError } from "../../api/error";
import type { Play, WorkflowVersion } from "../../api/generated";
import { PlayFeed } from "../../feed/play-feed";
import { clock } from "../../lib/clock.svelte";
import { hasEnded } from "../../lib/status";
import { version } from "../../lib/versions";
import { SpanStore } from "../../model/store";

export class Side {
  store = new SpanStore();
  play = $state.raw<Play>();
  ready = $state(false);
  error = $state.raw<CallError>();
  version = $state.raw<WorkflowVersion>();
  feed: PlayFeed;

  constructor(sid: string) {
    this.feed = new PlayFeed(sid, this.store, -1, {
      play: (play) => {
        this.play = play;
        version(play.version_sid).then(
          (found) => (this.version = found),
          () => {},
        );
      },
      spans: () => {},
      ready: () => (this.ready = true),
      failed: (error) => (this.error = error),
    });
  }

  get now(): number {
    const { play } = this;
    if (!play) return 0;
    return hasEnded(play.status) ? Math.max(this.store.latest, (play.completed_at ?? 0) - play.created_at) : clock.exactly() - play.created_at;
  }
}
