// The open questions of all plays: how many there are is told in the navigation, what they are in the inbox.

import type { BriefPlay, Question } from "../api/records";
import { watchPlays } from "../api/plays";
import { call } from "../api/rpc";

const MOST = 500;
/** Many plays that change at once are one reading. */
const SOON = 150;

class Inbox {
  questions = $state.raw<Question[]>([]);
  loaded = $state(false);
  open = $derived(this.questions.length);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private reading: Promise<void> | undefined;
  private again = false;

  start(): void {
    watchPlays({ plays: (plays) => this.take(plays), anew: () => void this.refresh() });
    void this.refresh();
  }

  /** Reads them anew; once more after what is being read already, which may be too old. */
  refresh(): Promise<void> {
    if (this.reading) this.again = true;
    this.reading ??= this.read().finally(() => {
      this.reading = undefined;
      if (this.again) void this.refresh();
      this.again = false;
    });
    return this.reading;
  }

  private take(plays: BriefPlay[]): void {
    if (!plays.some((play) => asks(play) || this.questions.some((one) => one.play_sid === play.sid))) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.refresh();
    }, SOON);
  }

  private async read(): Promise<void> {
    try {
      this.questions = (await call("question_list", { limit: MOST })).items as Question[];
      this.loaded = true;
    } catch {
      // The shell tells that the connection is lost; they are read anew when it is found again.
    }
  }
}

/** A play that runs may ask, too, and go on with something else. */
function asks(play: BriefPlay): boolean {
  return play.status === "awaiting_resume" || play.status === "running";
}

export const inbox = new Inbox();
