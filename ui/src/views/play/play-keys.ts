// The keys of a play's view.

import type { Key } from "../../lib/keys.svelte";
import type { PlayModel } from "./model.svelte";

interface Around {
  motion(key: string): void;
  search(): void;
  panel(): void;
}

export function playKeys(model: PlayModel, around: Around): Key[] {
  const time = "Time";
  const spans = "Spans";
  const move = (step: number) => {
    const row = model.selected >= 0 ? model.rowOf(model.selected) : step > 0 ? -1 : 0;
    const ord = model.ordAt(row + step);
    if (ord < 0) return;
    model.yieldFollow();
    model.select(ord);
  };
  return [
    { key: "w", does: "Zoom in", group: time, run: () => around.motion("w") },
    { key: "s", does: "Zoom out", group: time, run: () => around.motion("s") },
    { key: "a", does: "Earlier", group: time, run: () => around.motion("a") },
    { key: "d", does: "Later", group: time, run: () => around.motion("d") },
    { key: "Shift+ArrowLeft", does: "Earlier", group: time, run: () => model.pan(-0.15) },
    { key: "Shift+ArrowRight", does: "Later", group: time, run: () => model.pan(0.15) },
    { key: "Shift+ArrowUp", does: "Zoom in", group: time, run: () => zoom(0.7), silent: true },
    { key: "Shift+ArrowDown", does: "Zoom out", group: time, run: () => zoom(1.4), silent: true },
    { key: "+", does: "Zoom in", group: time, run: () => zoom(0.7), silent: true },
    { key: "-", does: "Zoom out", group: time, run: () => zoom(1.4), silent: true },
    { key: "0", does: "The whole play", group: time, run: () => model.showAll() },
    { key: "f", does: "Focus the selected span", group: time, run: () => model.focus(model.selected) },
    { key: "v", does: "Follow what is new", group: time, run: () => model.setFollow(!model.follow) },
    { key: "i", does: "Compress idle gaps", group: time, run: () => model.setCompress(!model.compress) },
    { key: "c", does: "Critical path", group: spans, run: () => model.setCritical(!model.critical) },
    { key: "/", does: "Search names, tags, errors, logs", group: spans, run: () => around.search() },
    { key: "n", does: "Next match", group: spans, run: () => model.step(1) },
    { key: "N", does: "Match before", group: spans, run: () => model.step(-1) },
    { key: "e", does: "Next failure", group: spans, run: () => model.stepFailure(1) },
    { key: "E", does: "Failure before", group: spans, run: () => model.stepFailure(-1) },
    { key: "ArrowDown", does: "Next row", group: spans, run: () => move(1) },
    { key: "ArrowUp", does: "Row before", group: spans, run: () => move(-1) },
    { key: "j", does: "Next row", group: spans, run: () => move(1), silent: true },
    { key: "k", does: "Row before", group: spans, run: () => move(-1), silent: true },
    {
      key: "ArrowRight",
      does: "Unfold",
      group: spans,
      run: () => model.selected >= 0 && model.toggle(model.selected, true),
    },
    {
      key: "ArrowLeft",
      does: "Fold",
      group: spans,
      run: () => model.selected >= 0 && model.toggle(model.selected, false),
    },
    { key: "[", does: "Fold everything", group: spans, run: () => model.setAll(false) },
    { key: "]", does: "Unfold everything", group: spans, run: () => model.setAll(true) },
    { key: "\\", does: "Details beside", group: spans, run: () => around.panel() },
    { key: "Escape", does: "The play instead of a span", group: spans, run: () => model.select(-1) },
  ];

  function zoom(factor: number): void {
    model.zoom(factor, (model.window.from + model.window.to) / 2);
  }
}
