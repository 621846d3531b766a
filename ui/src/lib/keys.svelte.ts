// Keys of the page. A view tells its keys while it is shown, and the help (`?`) lists what is told. Keys never reach
// here from a field, and never with Ctrl, Alt or Meta: those belong to the browser.

import { untrack } from "svelte";

export interface Key {
  /** `f`, `?`, `ArrowUp`, `Shift+ArrowLeft`, or two after each other: `g p`. */
  key: string;
  does: string;
  run(event: KeyboardEvent): void;
  /** Listed under this heading. */
  group: string;
  /** Another name for a key that is listed already. */
  silent?: boolean;
}

const SEQUENCE_MS = 900;

class Keys {
  lists = $state.raw<Key[][]>([]);
  helpOpen = $state(false);
  private first = "";
  private firstAt = 0;

  start(): void {
    addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Returns how to take them back: what an $effect returns. */
  add(list: Key[]): () => void {
    // What reads the list here must not be run again by it.
    this.lists = [...untrack(() => this.lists), list];
    return () => {
      this.lists = untrack(() => this.lists).filter((other) => other !== list);
    };
  }

  private find(name: string): Key | undefined {
    for (let at = this.lists.length - 1; at >= 0; at--) {
      const found = this.lists[at]!.find((key) => key.key === name);
      if (found) return found;
    }
    return undefined;
  }

  private pressed(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.isComposing || takesText(event.target)) return;
    const open = document.querySelector("dialog[open]");
    if (open) return;
    const name = nameOf(event);
    if (hasOwnUse(name, event.target)) return;
    const both = `${this.first} ${name}`;
    const now = performance.now();
    const key = (now - this.firstAt < SEQUENCE_MS && this.find(both)) || this.find(name);
    this.first = name;
    this.firstAt = now;
    if (!key) return;
    event.preventDefault();
    key.run(event);
  }
}

function nameOf(event: KeyboardEvent): string {
  return event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
}

/** Whether what has the focus does something with this key by itself: a link with Enter, a radio button with an arrow. */
function hasOwnUse(name: string, target: EventTarget | null): boolean {
  if (!(target instanceof Element) || target === document.body) return false;
  if (name === "Enter" || name === " ") return target.closest("a[href], button, summary, input, select") !== null;
  if (!/^(Arrow|Page|Home$|End$)/.test(name)) return false;
  return target.closest("main, a[href], button, body") !== target && target.closest("a[href], button") === null;
}

export function takesText(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.tagName) return false;
  if (element.isContentEditable || element.shadowRoot) return true;
  if (element.tagName === "TEXTAREA" || element.tagName === "SELECT") return true;
  if (element.tagName !== "INPUT") return false;
  const type = (element as HTMLInputElement).type;
  return type !== "checkbox" && type !== "radio" && type !== "button";
}

export const keys = new Keys();
