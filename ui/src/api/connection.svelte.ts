// Whether the server can be reached. Every call and stream reports here; while it can't, `/healthz` is asked with
// growing pauses. `epoch` rises each time it is found again: who shows what is not streamed loads anew then.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;

class Connection {
  lost = $state(false);
  epoch = $state(0);
  private pause = FIRST_PAUSE;
  private found = new Set<() => void>();

  reached(): void {
    if (!this.lost) return;
    this.lost = false;
    this.epoch += 1;
    this.pause = FIRST_PAUSE;
    for (const tell of this.found) tell();
  }

  failed(): void {
    if (this.lost) return;
    this.lost = true;
    this.probeLater();
  }

  /** Calls `tell` whenever the server is found again; returns how to stop that. */
  onFound(tell: () => void): () => void {
    this.found.add(tell);
    return () => this.found.delete(tell);
  }

  private probeLater(): void {
    setTimeout(() => void this.probe(), this.pause * (0.75 + Math.random() / 2));
    this.pause = Math.min(this.pause * 1.7, LONGEST_PAUSE);
  }

  private async probe(): Promise<void> {
    if (!this.lost) return;
    try {
      const answer = await fetch("/healthz", { cache: "no-store" });
      // A server that starts or stops answers 503; a proxy without one 502.
      if (answer.ok) return this.reached();
    } catch {
      // Still away.
    }
    if (this.lost) this.probeLater();
  }
}

export const connection = new Connection();
