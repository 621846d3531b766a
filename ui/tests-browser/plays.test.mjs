import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ASKS, FAILS, GATED, HELLO } from "./flows.mjs";
import { equal, ok, test, until } from "./harness.mjs";

const rowNames = (page) => page.$$eval(".tree-row:not([hidden]) .tree-label", (rows) => rows.map((row) => row.textContent));

test("a play is followed live from its start to its end", async (world) => {
  const gate = mkdtempSync(join(tmpdir(), "hero-gate-"));
  try {
    const flow = await world.flow("gated", GATED);
    const page = await world.open("/plays");
    await page.getByText("No play yet").waitFor();
    const sid = await world.play(flow, { gate });
    // It comes into the list by itself.
    await page.getByRole("link", { name: /gated/ }).click();
    await page.waitForURL(new RegExp(sid));
    await page.locator(".tree-label", { hasText: "first" }).waitFor();
    equal(await page.getByRole("button", { name: "Follow" }).getAttribute("aria-pressed"), "true", "it is followed");
    writeFileSync(join(gate, "0"), "");
    await page.locator(".tree-label", { hasText: "went through 1" }).waitFor();
    equal(await rowNames(page), ["gated", "first", "went through 1"]);
    // The person's own zoom goes before following.
    await page.locator("canvas").last().hover();
    await page.keyboard.down("Control");
    await page.mouse.wheel(0, -200);
    await page.keyboard.up("Control");
    await until("following has yielded", async () => (await page.getByRole("button", { name: "Follow" }).getAttribute("aria-pressed")) === "false");
    writeFileSync(join(gate, "1"), "");
    await page.locator(".tree-label", { hasText: "went through 2" }).waitFor();
    await page.getByRole("tab", { name: "Logs" }).click();
    await page.getByText("gate 2 is open").waitFor();
    writeFileSync(join(gate, "end"), "");
    await page.locator("header .status.success").waitFor();
    await page.getByRole("tab", { name: "Input & output" }).click();
    await page.getByLabel("output", { exact: true }).getByText("2").waitFor();
  } finally {
    rmSync(gate, { recursive: true, force: true });
  }
});

test("a failure is read to its line of source without a click", async (world) => {
  const sid = await world.play(await world.flow("fails", FAILS), {}, true);
  const page = await world.open(`/plays/${sid}`);
  await page.getByRole("group", { name: "Why" }).getByText("BadOrder: no price in 7.5O").waitFor();
  // The span where it began is selected, and its line is lit.
  await page.locator(".panel h2", { hasText: "read price" }).waitFor();
  const lit = await page.locator(".line.lit").textContent();
  ok(lit.includes("raise BadOrder"), `the line that raised is lit, not: ${lit}`);
  ok(new URL(page.url()).searchParams.get("span"), "the span is in the address");
  // A frame of the traceback leads to its own line.
  await page.locator(".trace .link", { hasText: ":12" }).first().click();
  await until("the other line is lit", async () => (await page.locator(".line.lit").textContent()).includes("return float(text)"));
  await page.locator(".panel .lines").getByText("reading 7.5O").waitFor();
  // The same address shows the same span.
  await page.reload();
  await page.locator(".panel h2", { hasText: "read price" }).waitFor();
});

test("a play is cancelled", async (world) => {
  const gate = mkdtempSync(join(tmpdir(), "hero-gate-"));
  const sid = await world.play(await world.flow("gated", GATED), { gate });
  const page = await world.open(`/plays/${sid}`);
  await page.locator(".tree-label", { hasText: "first" }).waitFor();
  await page.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("button", { name: "Cancel the play" }).click();
  await page.locator("header .status.cancelled").waitFor();
  await page.getByRole("button", { name: "Retry from the failure" }).click();
  await until("the new play is shown", () => !page.url().includes(sid));
  await page.getByText("Again after").waitFor();
  await world.rpc("play_cancel", { play_sid: new URL(page.url()).pathname.split("/")[2], grace_ms: 0 });
  rmSync(gate, { recursive: true, force: true });
});

test("questions are answered in the play and in the inbox", async (world) => {
  const sid = await world.play(await world.flow("asks", ASKS));
  const page = await world.open(`/plays/${sid}`);
  await page.getByText("What now?").first().waitFor();
  await page.locator("label.option", { hasText: "change" }).click();
  await page.getByRole("button", { name: "Answer" }).click();
  await page.locator(".tree-label", { hasText: "act on it" }).waitFor();
  await page.getByRole("link", { name: /Inbox/ }).click();
  await page.getByText("How many copies?").first().waitFor();
  const field = page.getByRole("textbox", { name: "How many copies?" });
  await field.fill("9");
  await page.getByRole("alert").getByText("At most 5.").first().waitFor();
  await field.fill("3");
  await page.getByRole("button", { name: "Answer" }).click();
  await page.getByText("Nobody asks anything").waitFor();
  await page.getByRole("link", { name: "See it" }).click();
  await page.locator("header .status.success").waitFor();
  equal(JSON.parse((await world.rpc("play_get", { play_sid: sid })).output_data), { choice: "change", copies: 3 });
});

test("spans are found by name, tag, error and log", async (world) => {
  const sid = await world.play(await world.flow("hello", HELLO), { name: "Grace" }, true);
  const page = await world.open(`/plays/${sid}`);
  await page.locator(".tree-label", { hasText: "greet" }).waitFor();
  for (const [text, found] of [["gree", "greet"], ["Grace", "greet"], ["about to", "greet"], ["nothing has this", null]]) {
    await page.keyboard.press("/");
    await page.keyboard.type(text);
    if (found) await page.locator(".tree-row.hit", { hasText: found }).waitFor();
    else await until("nothing is found", async () => (await page.locator(".tree-row.hit").count()) === 0);
    await page.keyboard.press("Enter");
    if (found) await page.locator(".panel h2", { hasText: found }).waitFor();
    await page.keyboard.press("Escape");
  }
});

test("the list is filtered by its address", async (world) => {
  await world.play(await world.flow("hello", HELLO), {}, true);
  await world.play(await world.flow("fails", FAILS), {}, true);
  const page = await world.open("/plays");
  const rows = page.locator(".list a");
  await until("both are there", async () => (await rows.count()) === 2);
  await page.locator("button.status.failed").click();
  await until("one is left", async () => (await rows.count()) === 1);
  ok(page.url().includes("status=failed"), "the status is in the address");
  await page.reload();
  await page.getByRole("link", { name: /fails/ }).waitFor();
  equal(await rows.count(), 1);
  await page.goto(`${world.url}/plays?q=HELL`);
  await page.getByRole("link", { name: /hello/ }).waitFor();
  equal(await rows.count(), 1);
});

test("two plays are compared", async (world) => {
  const flow = await world.flow("hello", HELLO);
  const a = await world.play(flow, { name: "Ada" }, true);
  await world.rpc("workflow_version_add", { workflow_sid: flow, python_source: HELLO.replace('with flow.step("greet"', 'with flow.step("say"') });
  const b = await world.play(flow, { name: "Bea" }, true);
  const page = await world.open(`/compare?a=${a}&b=${b}`);
  await page.getByText("only in A").waitFor();
  await page.getByText("only in B").waitFor();
  await page.locator("aside").getByText('"Bea"').first().waitFor();
  await page.locator(".diff .added", { hasText: 'flow.step("say"' }).waitFor();
});
