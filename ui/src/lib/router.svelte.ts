// Addresses. Every view, its filters and the selected span are in the address; the back button goes back.

import { matchRoute, type Route } from "./routes";

class Router {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));
  route: Route = $derived(matchRoute(this.path));

  start(): void {
    addEventListener("popstate", () => this.read());
    document.addEventListener("click", (event) => this.clicked(event));
  }

  go(address: string, replace = false): void {
    const url = new URL(address, location.href);
    const same = url.pathname === location.pathname && url.search === location.search;
    if (replace || same) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
    this.read();
  }

  /** Changes parameters of the query; `null` and `""` take one away. */
  set(changes: Record<string, string | null | undefined>, push = false): void {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined || value === "") query.delete(name);
      else query.set(name, value);
    }
    const text = query.toString();
    this.go(location.pathname + (text ? `?${text}` : ""), !push);
  }

  private read(): void {
    if (this.path !== location.pathname) this.path = location.pathname;
    if (this.query.toString() !== new URLSearchParams(location.search).toString()) {
      this.query = new URLSearchParams(location.search);
    }
  }

  private clicked(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
    if (link.hash) document.getElementById(link.hash.slice(1))?.scrollIntoView();
  }
}

export const router = new Router();
