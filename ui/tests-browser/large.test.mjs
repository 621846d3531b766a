// Large plays. The figures are printed; what is asserted is that everything works, not how fast.

import { MANY } from "./flows.mjs";
import { equal, ok, test, until } from "./harness.mjs";

async function measured(world, count, label) {
  const sid = await world.play(await world.flow("many", MANY), { count }, true);
  const ended = await world.rpc("play_wait", { play_sid: sid, timeout_ms: 100_000 });
  equal(ended.status, "success", "the play of many spans has ended");
  if (world.options.additions) await fetch(`${world.url}/api/plays/${sid}/outline`).then((answer) => answer.arrayBuffer());
  const page = await world.open("/flows");
  await page.getByRole("link", { name: /many/ }).waitFor();
  const began = Date.now();
  await page.goto(`${world.url}/plays/${sid}`);
  await page.waitForFunction(() => document.querySelectorAll(".tree-row:not([hidden])").length > 10, null, { timeout: 100_000 });
  const first = Date.now() - began;
  const inPage = await page.evaluate(() => performance.getEntriesByName("waterfall-painted").at(-1)?.startTime ?? 0);

  await page.keyboard.press("]");
  const frames = await page.evaluate(async () => {
    const canvas = [...document.querySelectorAll("canvas")].at(-1);
    const box = canvas.getBoundingClientRect();
    const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true, cancelable: true };
    const scroller = document.querySelector(".scroller");
    const run = async (frames, act) => {
      const times = [];
      let last = await new Promise(requestAnimationFrame);
      for (let n = 0; n < frames; n++) {
        act(n);
        const now = await new Promise(requestAnimationFrame);
        times.push(now - last);
        last = now;
      }
      times.sort((a, b) => a - b);
      return { median: times[times.length >> 1], p95: times[Math.floor(times.length * 0.95)] };
    };
    canvas.dispatchEvent(new PointerEvent("pointermove", at));
    const zoom = await run(120, (n) => canvas.dispatchEvent(new WheelEvent("wheel", { ...at, ctrlKey: true, deltaY: n < 60 ? -40 : 40 })));
    canvas.dispatchEvent(new WheelEvent("wheel", { ...at, ctrlKey: true, deltaY: -120 }));
    const pan = await run(120, (n) => canvas.dispatchEvent(new WheelEvent("wheel", { ...at, shiftKey: true, deltaY: n % 40 < 20 ? 60 : -60 })));
    const scroll = await run(120, (n) => (scroller.scrollTop += n < 60 ? 900 : -600));
    return { zoom, pan, scroll };
  });
  const memory = await page.evaluate(() => (performance.memory ? Math.round(performance.memory.usedJSHeapSize / 1e6) : 0));
  const text = Object.entries(frames).map(([name, { median, p95 }]) => `${name} ${median.toFixed(1)}/${p95.toFixed(1)} ms`).join(", ");
  console.log(`        ${label}: first picture ${first} ms after the click (in the page: ${Math.round(inPage)} ms); frames, median/p95: ${text}; ${memory} MB`);
  const shown = Number(await page.getByRole("treegrid").getAttribute("aria-rowcount"));
  ok(shown >= count, `all rows are there: ${shown}`);
  // Search, critical path and failures work at this size.
  await page.keyboard.press("e");
  await page.locator('.tree-row.failed[aria-selected="true"]').waitFor();
  await page.keyboard.press("c");
  await until("the critical path is shown", async () => (await page.getByRole("button", { name: "Critical path" }).getAttribute("aria-pressed")) === "true");
  await page.keyboard.press("/");
  await page.keyboard.type("step 499");
  await page.locator(".tree-row.hit").first().waitFor({ state: "attached" }).catch(() => {});
  await page.keyboard.press("Enter");
  await page.locator(".panel h2", { hasText: "step 499" }).waitFor();
}

test("100,000 spans, from the snapshot", (world) => measured(world, 100_000, "100,000 spans, today's snapshot"), { deadline: 300_000 });
test("100,000 spans, from an outline", (world) => measured(world, 100_000, "100,000 spans, outline (made up beforehand)"), { deadline: 300_000, additions: true });
