import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ASKS, FAILS, GATED, HELLO, NOISY, PARENT, WAITS } from "./flows.mjs";
import { equal, ok, test, until } from "./harness.mjs";

const rowNames = (page) => page.$$eval(".tree-row:not([hidden]) .tree-label", (rows) => rows.map((row) => row.textContent));

test("a play is followed live from its start to its end", async (world) => {
  const gate = world.directory();
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
  const gate = world.directory();
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
  const page = await world.open(`/plays/${b}`);
  await page.getByRole("button", { name: "Compare…" }).click();
  await page.getByRole("list", { name: /Plays of hello/ }).getByRole("link").click();
  await page.waitForURL(new RegExp(`/compare\\?a=${a}&b=${b}`));
  await page.getByText("only in A").waitFor();
  await page.getByText("only in B").waitFor();
  await page.locator("aside").getByText('"Bea"').first().waitFor();
  await page.locator(".diff .added", { hasText: 'flow.step("say"' }).waitFor();
});

test("a child play unfolds in place, and has addresses of its own", async (world) => {
  const sid = await world.play(await world.flow("parent", PARENT), {}, true);
  const page = await world.open(`/plays/${sid}`);
  const child = page.locator(".tree-row", { hasText: "child play" });
  await child.locator(".tree-twist").click();
  await page.locator(".tree-label", { hasText: "inner" }).waitFor();
  equal(await rowNames(page), ["parent", "before", "part", "part", "inner"]);
  await page.locator(".tree-label", { hasText: "inner" }).click();
  await page.locator(".panel h2", { hasText: "inner" }).waitFor();
  await page.locator(".tags dd", { hasText: "21" }).waitFor();
  const span = new URL(page.url()).searchParams.get("span");
  ok(/^[0-9a-f-]{36}\/./.test(span), `the child play is in the address: ${span}`);
  await page.reload();
  await page.locator(".panel h2", { hasText: "inner" }).waitFor();
});

test("logs: progress is one line, colours are kept, lines are searched; what it left is fetched", async (world) => {
  const sid = await world.play(await world.flow("noisy", NOISY), { lines: 3_000 }, true);
  const page = await world.open(`/plays/${sid}?tab=logs`);
  const lines = page.locator(".logs .line");
  await page.getByText("3,001 lines", { exact: true }).waitFor();
  equal(await lines.first().locator(".text").textContent(), "fetched everything");
  equal(await lines.first().locator(".fg2").textContent(), "fetched");
  ok((await lines.count()) < 200, "only lines in view exist");
  await page.getByRole("searchbox", { name: "Search these logs" }).fill("LINE 299");
  await page.getByText("11 of 3,001 lines").waitFor();
  await page.locator(".logs mark", { hasText: "line 299" }).first().waitFor();
  await page.getByRole("tab", { name: "Run" }).click();
  ok(page.url().includes("tab=run"), "the tab is in the address");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "report.txt" }).click()]);
  equal(readFileSync(await download.path(), "utf8"), "all is well");
});

test("what a play waits for is told in the list and in the play; a signal lets it go on", async (world) => {
  const sid = await world.play(await world.flow("waits", WAITS));
  const page = await world.open("/plays");
  const row = page.getByRole("link", { name: /waits/ });
  await row.getByText("waits for the event “paid”").waitFor();
  await row.click();
  await page.getByText("It waits for the event “paid”").waitFor();
  await page.getByRole("button", { name: "Signal…" }).click();
  const dialog = page.getByRole("dialog");
  equal(await dialog.getByRole("textbox").first().inputValue(), "paid", "the event that is waited for is offered");
  await dialog.getByRole("textbox").last().fill('{"cents": 900}');
  await dialog.getByRole("button", { name: /Send/ }).click();
  await page.locator("header .status.success").waitFor();
  equal(JSON.parse((await world.rpc("play_get", { play_sid: sid })).output_data), "shipped");
});

test("the timeline above the list is a filter", async (world) => {
  await world.play(await world.flow("hello", HELLO), {}, true);
  await world.addOlderPlays(60, 60_000);
  const page = await world.open("/plays");
  const total = page.getByRole("img", { name: /61 plays from/ });
  await total.waitFor();
  const box = await total.boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width, box.y + 20, { steps: 5 });
  await page.mouse.up();
  await page.getByRole("img", { name: /^(2\d|3\d) plays from/ }).waitFor();
  ok(/from=\d+/.test(page.url()), "the stretch is in the address");
  await page.goBack();
  await total.waitFor();
});

test("numbers keep their digits, and what is typed outlives news of the play", async (world) => {
  const gate = world.directory();
  const source = `from hero_tracing import flow
import pathlib, time

@flow
def exact(count: int, gate: str, rate: float = 0.5):
    while not (pathlib.Path(gate) / "end").exists():
        time.sleep(0.01)
    return [count, rate]
`;
  const flow = await world.flow("exact", source);
  const count = "12345678901234567890";
  const outputOf = async (sid) => (await world.rpc("play_wait", { play_sid: sid, timeout_ms: 30_000 })).output_data;
  const sid = await world.play(flow, `{"count":${count},"gate":${JSON.stringify(gate)},"rate":2.0}`);
  const page = await world.open(`/plays/${sid}`);
  await page.getByRole("button", { name: "Fork…" }).click();
  const input = page.getByRole("dialog").getByLabel("Input");
  await input.waitFor();
  const changed = (await input.inputValue()).replace(count, "98765432109876543210");
  ok(changed.includes("98765432109876543210") && changed.includes("2.0"), `the digits are there: ${changed}`);
  await input.fill(changed);
  writeFileSync(join(gate, "end"), "");
  equal(await outputOf(sid), `[${count},2.0]`);
  await page.locator("header .status.success").waitFor();
  equal(await input.inputValue(), changed, "what was typed is there");
  await page.getByRole("button", { name: "Start the new play" }).click();
  await until("the fork is shown", async () => !page.url().includes(sid));
  equal(await outputOf(new URL(page.url()).pathname.split("/").at(-1)), "[98765432109876543210,2.0]");
  await page.goto(`${world.url}/plays/${sid}`);
  await page.getByRole("link", { name: "Other input…" }).click();
  await page.getByRole("button", { name: /^Run/ }).click();
  await page.waitForURL(/\/plays\/.+/);
  equal(await outputOf(new URL(page.url()).pathname.split("/").at(-1)), `[${count},2.0]`);
});

test("a play is run again with its input changed in the form", async (world) => {
  const sid = await world.play(await world.flow("hello", HELLO), { name: "Ada", times: 2 }, true);
  const page = await world.open(`/plays/${sid}`);
  await page.getByRole("link", { name: "Other input…" }).click();
  await until("its input is there", async () => (await page.getByLabel("times").inputValue()) === "2");
  await page.getByLabel("name").first().fill("Bea");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL(/\/plays\//);
  await page.locator("header .status.success").waitFor();
  const next = await world.rpc("play_get", { play_sid: new URL(page.url()).pathname.split("/")[2] });
  equal([JSON.parse(next.input_data), next.origin], [{ name: "Bea", times: 2 }, "page"]);
});
