// The latest plays of the flows that are seen, kept up to date by what comes.

import { SvelteMap } from "svelte/reactivity";
import type { BriefPlay } from "../../api/records";
import { listPlays, watchPlays } from "../../api/plays";
import { put } from "../../model/play-list";

export const KEPT = 14;

export class Latest {
  private readonly of = new SvelteMap<string, BriefPlay[]>();
  private readonly asked = new Set<string>();
  private readonly stop: () => void;

  constructor() {
    this.stop = watchPlays({ plays: (plays) => this.take(plays), anew: () => this.anew() });
  }

  close(): void {
    this.stop();
  }

  plays(workflow: string): readonly BriefPlay[] {
    return this.of.get(workflow) ?? [];
  }

  /** These flows are seen. */
  seen(workflows: readonly string[]): void {
    for (const workflow_sid of workflows) {
      if (this.asked.has(workflow_sid)) continue;
      this.asked.add(workflow_sid);
      listPlays({ workflow_sid, top_level: true, limit: KEPT }).then(
        (page) => {
          const known = [...this.plays(workflow_sid)];
          for (const play of page.items) if (!known.some((one) => one.sid === play.sid)) put(known, play);
          this.of.set(workflow_sid, known.slice(0, KEPT));
        },
        () => this.asked.delete(workflow_sid),
      );
    }
  }

  private anew(): void {
    const seen = [...this.asked];
    this.asked.clear();
    this.seen(seen);
  }

  private take(plays: BriefPlay[]): void {
    for (const play of plays) {
      const known = this.of.get(play.workflow_sid);
      if (!known || play.parent_play_sid) continue;
      const next = [...known];
      put(next, play);
      this.of.set(play.workflow_sid, next.slice(0, KEPT));
    }
  }
}
