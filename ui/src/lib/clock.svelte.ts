// The time as the server has it, and a tick once a second for what shows ages and durations.

class Clock {
  /** Epoch milliseconds, once a second. */
  now = $state(Date.now());
  private ahead = 0;

  start(): void {
    setInterval(() => {
      if (!document.hidden) this.now = this.exactly();
    }, 1_000);
    document.addEventListener("visibilitychange", () => {
      this.now = this.exactly();
    });
  }

  /** The server's time, now. */
  exactly(): number {
    return Date.now() + this.ahead;
  }

  /** The `Date` of an answer: whole seconds, so that small differences mean nothing. */
  learn(header: string | null): void {
    if (!header) return;
    const theirs = Date.parse(header);
    if (!Number.isFinite(theirs)) return;
    const difference = theirs + 500 - Date.now();
    this.ahead = Math.abs(difference) > 2_500 ? difference : 0;
  }
}

export const clock = new Clock();
