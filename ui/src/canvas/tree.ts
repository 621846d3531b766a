// The tree beside the waterfall: one element for each row in view, used again and again, and changed only where it differs.
// It is a treegrid: what a screen reader reads and what the keyboard moves in.

import { duration } from "../lib/format";
import { KINDS, STATUSES } from "../model/words";
import {
  ROW_CHILD_PLAY,
  ROW_EARLIER,
  ROW_HAS_CHILDREN,
  ROW_HAS_LOGS,
  ROW_HIT,
  ROW_ON_PATH,
  ROW_OPEN,
  type RowBuffer,
} from "./row-buffer";
import { ROW_HEIGHT } from "./scene";

const INDENT = 14;
/** Deeper rows are not moved further: the names would leave the column. */
const DEEPEST = 24;

interface Row {
  element: HTMLElement;
  name: HTMLElement;
  label: HTMLElement;
  badge: HTMLElement;
  time: HTMLElement;
  ord: number;
  text: string;
  depth: number;
  className: string;
  expanded: string;
  badgeText: string;
  timeText: string;
  index: number;
  selected: boolean;
}

export class Tree {
  private pool: Row[] = [];

  constructor(
    private readonly host: HTMLElement,
    private readonly id: string,
  ) {}

  private make(): Row {
    const element = document.createElement("div");
    element.setAttribute("role", "row");
    element.className = "tree-row";
    const name = document.createElement("div");
    name.setAttribute("role", "gridcell");
    name.className = "tree-name";
    const twist = document.createElement("span");
    twist.className = "tree-twist";
    twist.setAttribute("aria-hidden", "true");
    const mark = document.createElement("span");
    mark.className = "tree-mark";
    mark.setAttribute("aria-hidden", "true");
    const label = document.createElement("span");
    label.className = "tree-label";
    const badge = document.createElement("span");
    badge.className = "tree-badge";
    name.append(twist, mark, label, badge);
    const time = document.createElement("div");
    time.setAttribute("role", "gridcell");
    time.className = "tree-time";
    element.append(name, time);
    this.host.append(element);
    return {
      element,
      name,
      label,
      badge,
      time,
      ord: -2,
      text: "",
      depth: -1,
      className: "",
      expanded: "",
      badgeText: "",
      timeText: "",
      index: -1,
      selected: false,
    };
  }

  /** The ord of the row that an element is part of; -1 if none. */
  ordAt(target: EventTarget | null): number {
    const element = (target as Element | null)?.closest?.(".tree-row");
    return element instanceof HTMLElement ? Number(element.dataset["ord"] ?? -1) : -1;
  }

  render(rows: RowBuffer, shift: number, selected: number, hovered: number, now: number): void {
    this.host.style.transform = `translateY(${shift}px)`;
    while (this.pool.length < rows.count) this.pool.push(this.make());
    for (let at = 0; at < this.pool.length; at++) {
      const row = this.pool[at]!;
      if (at >= rows.count) {
        if (row.ord !== -1) {
          row.ord = -1;
          row.element.hidden = true;
          row.element.removeAttribute("id");
        }
        continue;
      }
      this.update(row, rows, at, selected, hovered, now);
    }
  }

  private update(row: Row, rows: RowBuffer, at: number, selected: number, hovered: number, now: number): void {
    const ord = rows.ord[at]!;
    const flags = rows.flags[at]!;
    const status = STATUSES[rows.status[at]!]!;
    if (row.ord !== ord) {
      if (row.ord < 0) row.element.hidden = false;
      row.ord = ord;
      row.element.dataset["ord"] = String(ord);
      row.element.id = `${this.id}-${ord}`;
    }
    const index = rows.first + at + 1;
    if (row.index !== index) {
      row.index = index;
      row.element.setAttribute("aria-rowindex", String(index));
    }
    if (row.text !== rows.names[at]) {
      row.text = rows.names[at]!;
      row.label.textContent = row.text === "" ? "(no name)" : row.text;
      row.name.title = row.text;
    }
    const depth = rows.depth[at]!;
    if (row.depth !== depth) {
      row.depth = depth;
      row.element.setAttribute("aria-level", String(depth + 1));
      row.name.style.paddingLeft = `${Math.min(depth, DEEPEST) * INDENT + 6}px`;
    }
    let className = `tree-row ${status} kind-${KINDS[rows.kind[at]!]}`;
    if (flags & ROW_HIT) className += " hit";
    if (flags & ROW_ON_PATH) className += " path";
    if (flags & ROW_EARLIER) className += " earlier";
    if (flags & ROW_CHILD_PLAY) className += " child-play";
    if (ord === selected) className += " selected";
    if (ord === hovered) className += " hovered";
    if (row.className !== className) {
      row.className = className;
      row.element.className = className;
    }
    const expanded = flags & ROW_HAS_CHILDREN ? (flags & ROW_OPEN ? "true" : "false") : "";
    if (row.expanded !== expanded) {
      row.expanded = expanded;
      if (expanded === "") row.element.removeAttribute("aria-expanded");
      else row.element.setAttribute("aria-expanded", expanded);
    }
    const isSelected = ord === selected;
    if (row.selected !== isSelected || !row.element.hasAttribute("aria-selected")) {
      row.selected = isSelected;
      row.element.setAttribute("aria-selected", String(isSelected));
    }
    const badge = badgeOf(rows, at, expanded === "false", flags);
    if (row.badgeText !== badge) {
      row.badgeText = badge;
      row.badge.textContent = badge;
    }
    const end = rows.end[at]! < 0 ? now : rows.end[at]!;
    const length = end - rows.start[at]!;
    const time = length === 0 && status === "replayed" ? "replayed" : duration(length);
    const spoken = status === "ok" || time === "replayed" ? time : `${time}, ${status.replace("_", " ")}`;
    if (row.timeText !== spoken) {
      row.timeText = spoken;
      row.time.textContent = time;
      row.time.setAttribute("aria-label", spoken);
    }
  }
}

function badgeOf(rows: RowBuffer, at: number, folded: boolean, flags: number): string {
  const failed = rows.failedBelow[at]!;
  if (folded && failed > 0) return `${failed} failed of ${rows.below[at]}`;
  if (folded && rows.below[at]! > 0) return `${rows.below[at]}`;
  if (flags & ROW_CHILD_PLAY) return "child play";
  if (flags & ROW_HAS_LOGS) return "≡";
  return "";
}

export { ROW_HEIGHT };
