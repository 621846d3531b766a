// The bearer token, where the server wants one. It is kept for this tab only (sessionStorage) and is never part of an
// address. Whoever gets a 401 waits in `tokenAfterRefusal` until the person has given another one.

const KEY = "hero_logic.token";

function stored(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

class Auth {
  token = stored();
  /** The server refused what we have: the page asks for a token. */
  wanted = $state(false);
  /** A token had been given and was refused. */
  refused = $state(false);
  private waiting: (() => void)[] = [];

  headers(): Record<string, string> {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  /** Resolves when there is another token than `tried`, the one that was refused. */
  tokenAfterRefusal(tried: string): Promise<void> {
    if (this.token !== tried) return Promise.resolve();
    this.refused = tried !== "";
    this.wanted = true;
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  give(token: string): void {
    this.token = token.trim();
    try {
      sessionStorage.setItem(KEY, this.token);
    } catch {
      // Without storage it holds until the page is left.
    }
    this.wanted = false;
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}

export const auth = new Auth();
