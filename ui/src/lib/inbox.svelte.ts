// The open questions of all plays: how many there are is told in the navigation, what they are in the inbox.

import type { Question } from "../api/coming";
import { connection } from "../api/connection.svelte";
import { call, callEach, optional } from "../api/rpc";

const EVERY = 5_000;
const MOST = 500;

class Inbox {
  questions = $state.raw<Question[]>([]);
  loaded = $state(false);
  open = $derived(this.questions.length);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private reading: Promise<void> | undefined;

  start(): void {
    connection.onFound(() => void this.refresh());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.refresh();
    });
    void this.refresh();
  }

  /** Reads them anew; what is being read already is waited for. */
  refresh(): Promise<void> {
    this.reading ??= this.read().finally(() => {
      this.reading = undefined;
      clearTimeout(this.timer);
      if (!document.hidden) this.timer = setTimeout(() => void this.refresh(), EVERY);
    });
    return this.reading;
  }

  private async read(): Promise<void> {
    try {
      const page = await optional("question_list", { limit: MOST });
      this.questions = page ? page.items : await askedOneByOne();
      this.loaded = true;
    } catch {
      // The shell tells that the connection is lost; it is read anew when it is found again.
    }
  }
}

/** For servers without `question_list`. */
async function askedOneByOne(): Promise<Question[]> {
  const plays = await call("play_list", { status: "awaiting_resume", limit: MOST });
  const asked = await callEach(
    "play_pending_resumes",
    plays.items.map((play) => ({ play_sid: play.sid })),
  );
  const questions: Question[] = [];
  plays.items.forEach((play, at) => {
    const pending = asked[at];
    if (!Array.isArray(pending)) return;
    for (const one of pending) {
      questions.push({ ...one, play_sid: play.sid, workflow_name: play.workflow_name });
    }
  });
  return questions.sort((a, b) => a.created_at - b.created_at);
}

export const inbox = new Inbox();
