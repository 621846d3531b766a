// Large plays. The figures are printed; what is asserted is that everything works, not how fast.

import { FAILS, HELLO, MANY } from "./flows.mjs";
import { equal, ok, test, until } from "./harness.mjs";

/** Frames of one movement: median and 95th percentile, in milliseconds. */
const FRAMES = `async (count, act) => {
  const times = [];
  let last = await new Promise(requestAnimationFrame);
  for (let n = 0; n < count; n++) {
    act(n);
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  times.sort((a, b) => a - b);
  return times[times.length >> 1].toFixed(1) + "/" + times[Math.floor(times.length * 0.95)].toFixed(1) + " ms";
}`;

async function measured(world, count) {
  const sid = await world.play(await world.flow("many", MANY), { count }, true);
  const ended = await world.rpc("play_wait", { play_sid: sid, timeout_ms: 100_000 });
  equal(ended.status, "success", "the play of many spans has ended");
  const page = await world.open("/flows");
  await page.getByRole("link", { name: /many/ }).waitFor();
  const began = Date.now();
  await page.goto(`${world.url}/plays/${sid}`);
  await page.waitForFunction(() => document.querySelectorAll(".tree-row:not([hidden])").length > 10, null, { timeout: 100_000 });
  const first = Date.now() - began;
  const inPage = await page.evaluate(() => performance.getEntriesByName("waterfall-painted").at(-1)?.startTime ?? 0);

  const outline = await page.evaluate(() => {
    const entry = performance.getEntriesByType("resource").find((one) => one.name.endsWith("/outline"));
    return entry ? Math.round(entry.responseEnd - entry.startTime) : 0;
  });

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
  console.log(`        ${count.toLocaleString("en")} spans: first picture ${first} ms after the click (in the page ${Math.round(inPage)} ms, ${outline} ms of it for the outline to come); frames, median/p95: ${text}; ${memory} MB`);
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

test("100,000 spans", (world) => measured(world, 100_000), { deadline: 300_000 });

test(
  "1,000,000 spans, by windows that the server computes",
  async (world) => {
    const count = 1_000_000;
    const sid = await world.play(await world.flow("many", MANY), { count: count - 1, fan: 100 });
    await until("the play has ended", async () => (await world.rpc("play_status", { play_sid: sid })).status === "success", 300_000);
    const page = await world.open("/flows");
    await page.getByRole("link", { name: /many/ }).waitFor();
    const began = Date.now();
    await page.goto(`${world.url}/plays/${sid}`);
    await page.locator(".tree-label", { hasText: "step 0" }).first().waitFor({ timeout: 200_000 });
    const first = Date.now() - began;
    // Down the tree, by keyboard.
    await page.keyboard.press("j");
    for (let level = 0; level < 3; level++) {
      await page.keyboard.press("j");
      await page.locator('.tree-row[aria-selected="true"]').waitFor();
      await page.keyboard.press("ArrowRight");
      await page.locator('.tree-row[aria-selected="true"][aria-expanded="true"]').waitFor();
    }
    const shown = Number(await page.getByRole("treegrid").getAttribute("aria-rowcount"));
    ok(shown > 200 && shown < 1_000, `only what was unfolded is a row: ${shown}`);
    // Failures and what is searched for are gone to, wherever they are.
    await page.keyboard.press("e");
    await page.locator('.tree-row.failed[aria-selected="true"]').waitFor();
    const failure = await page.locator(".ids dd").first().textContent();
    await page.keyboard.press("e");
    await until("the next failure is selected", async () => (await page.locator(".ids dd").first().textContent()) !== failure);
    await page.keyboard.press("/");
    await page.keyboard.type("step 123");
    await page.locator(".found", { hasText: "1,000" }).waitFor();
    await page.keyboard.press("Enter");
    await page.locator('.tree-row.hit[aria-selected="true"]', { hasText: "step 123" }).waitFor();
    await page.locator(".panel h2", { hasText: "step 123" }).waitFor();
    await page.reload();
    await page.locator('.tree-row[aria-selected="true"]', { hasText: "step 123" }).waitFor();
    const frames = await page.evaluate(`(async () => {
      const run = ${FRAMES};
      const canvas = [...document.querySelectorAll("canvas")].at(-1);
      const box = canvas.getBoundingClientRect();
      const at = { clientX: box.left + box.width / 2, clientY: box.top + 200, bubbles: true, cancelable: true };
      const zoom = await run(100, (n) => canvas.dispatchEvent(new WheelEvent("wheel", { ...at, ctrlKey: true, deltaY: n < 50 ? -40 : 40 })));
      const scroll = await run(100, (n) => (document.querySelector(".scroller").scrollTop += n < 50 ? 90 : -90));
      return "zoom " + zoom + ", scroll " + scroll;
    })()`);
    console.log(`        1,000,000 spans, by windows: first picture ${first} ms after the click; frames, median/p95: ${frames}`);
  },
  { deadline: 500_000 },
);

test(
  "100,000 plays scroll, also to the end at once",
  async (world) => {
    await world.play(await world.flow("hello", HELLO), {}, true);
    await world.play(await world.flow("fails", FAILS), {}, true);
    // As many as are kept at most.
    await world.addOlderPlays(99_998, 3_000);
    const page = await world.open("/plays");
    await page.locator(".list a").first().waitFor();
    const inPage = await page.evaluate(() => performance.now());
    await page.locator("figure svg rect").first().waitFor();
    const frames = await page.evaluate(`(async () => {
      const run = ${FRAMES};
      const host = document.querySelector(".list .host");
      return run(200, () => (host.scrollTop += 400));
    })()`);
    const began = Date.now();
    await page.evaluate(() => {
      const host = document.querySelector(".list .host");
      host.scrollTop = host.scrollHeight;
    });
    // The oldest one; the pages before it are fetched meanwhile.
    await page.locator('.list a[href$="-000000000001"]').waitFor({ timeout: 120_000 });
    console.log(`        100,000 plays: first rows after ${Math.round(inPage)} ms; scrolling, median/p95 of a frame ${frames}; from the top to the end at once ${Date.now() - began} ms`);
    await page.locator("button.status.failed").click();
    await until("only failed ones are left", async () => (await page.locator(".list a .status.success").count()) === 0);
    await page.locator(".list a .status.failed").first().waitFor();
  },
  { deadline: 300_000 },
);
