// Pictures for the README and docs, from a running page of a real server.
//
//   HERO_LOGIC_BIN=…/hero_logic node scripts/pictures.mjs [DIRECTORY] [PART OF A NAME]
//
// Without a directory they go to docs/pictures. With `all` in PICTURES, each view in each theme and size, to be looked at.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until, World } from "../tests-browser/harness.mjs";
import { fillWorld } from "./example-world.mjs";

const OUT = process.argv[2] ?? fileURLToPath(new URL("../../docs/pictures/", import.meta.url));
const PART = process.argv[3] ?? "";
const ALL = process.env.PICTURES === "all";

const world = await World.make();
try {
  mkdirSync(OUT, { recursive: true });
  const { flows, first, second, failed, asking, running } = await fillWorld(world);
  await until("it asks", async () => (await world.rpc("play_pending_resumes", { play_sid: asking })).length > 0);
  await until("it has gone on for a while", async () => (await world.rpc("play_spans", { play_sid: running })).spans.length > 12);
  const quote = (await world.rpc("play_spans", { play_sid: first })).spans.find((span) => span.kind === "rpc")?.span_id;
  const order = (await world.rpc("play_spans", { play_sid: first })).spans.find((span) => span.name.startsWith("order "))?.span_id;

  const views = [
    ["plays", "/plays", ".list a", ALL],
    ["play", `/plays/${first}?span=${order}&path=1`, ".panel h2", true],
    ["live", `/plays/${running}`, ".tree-row.running", true],
    ["failure", `/plays/${failed}`, ".line.lit", true],
    ["question", `/plays/${asking}`, ".question", ALL],
    ["flow", `/flows/${flows.settle}`, "form", true],
    ["compare", `/compare?a=${first}&b=${second}`, ".pair", true],
    ["plays-dark", "/plays", ".list a", true],
    ["inbox", "/inbox", ".question", true],
    ["system", "/system", ".doctor li", true],
    ["flows", "/flows", ".flows a", ALL],
    ["source", `/flows/${flows.settle}?tab=source`, ".cm-content", ALL],
    ["versions", `/flows/${flows.settle}?tab=versions`, ".diff", ALL],
    ["rpc", `/plays/${first}?span=${quote}`, ".panel h2", ALL],
    ["first", `/plays/${first}`, ".tree-row", ALL],
    ["logs", `/plays/${first}`, ".tree-row", ALL, async (page) => {
      await page.getByRole("tab", { name: "Logs" }).click();
      await page.locator(".logs .line").first().waitFor();
    }],
    ["run", `/plays/${first}`, ".tree-row", ALL, async (page) => {
      await page.getByRole("tab", { name: "Run" }).click();
      await page.locator(".facts").last().waitFor();
    }],
    ["keys", `/plays/${first}`, ".tree-row", ALL, (page) => page.keyboard.press("?")],
    ["fork", `/plays/${failed}`, ".tree-row", ALL, (page) => page.getByRole("button", { name: "Fork…" }).click()],
  ];
  for (const [name, path, ready, wanted, then] of views) {
    if (!wanted || !name.includes(PART)) continue;
    const sizes = ALL
      ? [["light", 1440, 900], ["dark", 1440, 900], ["phone", 390, 844]]
      : [[name.endsWith("dark") ? "dark" : "light", 1280, 760]];
    for (const [kind, width, height] of sizes) {
      const page = await world.open(path, { width, height, theme: kind === "dark" ? "dark" : "light" });
      await page.locator(ready).first().waitFor();
      await then?.(page);
      await page.evaluate(() => document.fonts.ready);
      await page.waitForTimeout(250);
      await page.screenshot({ path: join(OUT, ALL ? `${name}-${kind}.png` : `${name}.png`) });
      await page.context().close();
    }
  }
  await world.rpc("play_cancel", { play_sid: running, grace_ms: 0 });
} finally {
  await world.end();
}
