// The keys within the tree: those of a treegrid.

import type { PlayModel } from "./model.svelte";

export function treeKey(event: KeyboardEvent, model: PlayModel, page: number): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const row = model.rowOf(model.selected);
  switch (event.key) {
    case "ArrowDown":
      moveTo(model, row + 1);
      break;
    case "ArrowUp":
      moveTo(model, row - 1);
      break;
    case "PageDown":
      moveTo(model, row + page);
      break;
    case "PageUp":
      moveTo(model, row - page);
      break;
    case "Home":
      moveTo(model, 0);
      break;
    case "End":
      moveTo(model, model.source.count - 1);
      break;
    case "ArrowRight":
      openOrDown(model, row);
      break;
    case "ArrowLeft":
      closeOrUp(model);
      break;
    case " ":
      if (model.selected >= 0) model.toggle(model.selected);
      break;
    default:
      return;
  }
  event.preventDefault();
}

function moveTo(model: PlayModel, row: number): void {
  const ord = model.ordAt(row);
  if (ord < 0) return;
  model.yieldFollow();
  model.select(ord);
}

function openOrDown(model: PlayModel, row: number): void {
  const ord = model.selected;
  if (ord < 0) moveTo(model, 0);
  else if (model.isOpen(ord)) moveTo(model, row + 1);
  else model.toggle(ord, true);
}

function closeOrUp(model: PlayModel): void {
  const ord = model.selected;
  if (ord < 0) return;
  if (model.isOpen(ord)) model.toggle(ord, false);
  else if (model.store.parent[ord]! >= 0) model.select(model.store.parent[ord]!);
}
