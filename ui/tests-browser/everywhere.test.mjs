import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ASKS, FAILS, GATED, HELLO, HOSTILE, HOSTILE_NAME, MANY } from "./flows.mjs";
import { equal, ok, test, until } from "./harness.mjs";

const OUT = fileURLToPath(new URL("./out/", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

test("everything is done by keyboard alone", async (world) => {
  await world.play(await world.flow("hello", HELLO), { name: "Ada" }, true);
  const page = await world.open("/plays");
  await page.getByRole("link", { name: /hello/ }).waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/plays\/.+/);
  await page.locator(".tree-label", { hasText: "greet" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.locator(".panel h2", { hasText: "greet" }).waitFor();
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowLeft");
  await until("it is folded", async () => (await page.locator(".tree-row:not([hidden])").count()) === 1);
  await page.keyboard.press("ArrowRight");
  await until("it is unfolded", async () => (await page.locator(".tree-row:not([hidden])").count()) === 2);
  await page.keyboard.press("c");
  await page.locator(".tree-row.path").first().waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("tab", { name: "Input & output" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("f");
  await page.getByRole("heading", { name: "Flows" }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("hello");
  await page.locator("mark").first().waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "hello" }).waitFor();
  await page.getByLabel("name").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/plays\/.+/);
  await page.locator("header .status.success").waitFor();
  // What has the focus goes before the keys of the page.
  await page.goto(`${world.url}/plays`);
  await page.getByRole("link", { name: /hello/ }).last().focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/plays\/.+/);
  // From the tree, with the keys of a treegrid.
  await page.getByRole("treegrid").focus();
  await page.keyboard.press("End");
  await page.locator('.tree-row[aria-selected="true"]', { hasText: "greet" }).waitFor();
});

test("what the server does is told live, and what doctor finds", async (world) => {
  const gate = world.directory();
  const page = await world.open("/system");
  const slots = page.getByRole("meter", { name: "Slots in use" });
  await slots.waitFor();
  equal(await slots.getAttribute("aria-valuenow"), "0", "nothing runs");
  const sid = await world.play(await world.flow("gated", GATED), { gate });
  await until("its slot is shown", async () => (await slots.getAttribute("aria-valuenow")) === "1");
  await world.play(await world.flow("fails", FAILS), {}, true);
  await page.getByText("failed, exception").waitFor();
  writeFileSync(join(gate, "0"), "");
  writeFileSync(join(gate, "1"), "");
  writeFileSync(join(gate, "end"), "");
  await world.rpc("play_wait", { play_sid: sid, timeout_ms: 30_000 });
  await until("the slot is free", async () => (await slots.getAttribute("aria-valuenow")) === "0");
  // As much as the command tells.
  const told = await world.rpc("server_doctor");
  const doctor = page.getByRole("region", { name: "Doctor" });
  await doctor.getByRole("listitem").first().waitFor();
  equal((await doctor.locator(".id").allTextContents()).sort(), told.checks.map((check) => check.id).sort());
  await doctor.getByRole("button", { name: "Look again" }).click();
  await doctor.getByRole("button", { name: "Look again" }).waitFor();
});

test("the connection is lost and found without a reload, and nothing is missed", async (world) => {
  const gate = world.directory();
  const sid = await world.play(await world.flow("gated", GATED), { gate });
  const page = await world.open(`/plays/${sid}`);
  await page.locator(".tree-label", { hasText: "first" }).waitFor();
  await page.evaluate(() => (window.sameDocument = true));
  await world.stopServer("SIGKILL");
  await page.getByText("Connection lost").waitFor();
  writeFileSync(join(gate, "0"), "");
  await world.startServer();
  await until("it is found again", async () => (await page.getByText("Connection lost").count()) === 0);
  // The play goes on in a further attempt; what happens there is told to the page that was there before.
  await page.locator(".tree-label", { hasText: "went through 1" }).waitFor();
  writeFileSync(join(gate, "end"), "");
  await page.locator("header .status.success").waitFor();
  ok(await page.evaluate(() => window.sameDocument), "the page was not loaded anew");
  const spans = (await world.rpc("play_spans", { play_sid: sid })).spans;
  const shown = await page.$$eval(".tree-row:not([hidden]) .tree-label", (rows) => rows.length);
  equal(shown, spans.length, "each span is shown once");
});

test("what flows write never becomes markup", async (world) => {
  const flow = await world.flow(HOSTILE_NAME, HOSTILE, { description: HOSTILE_NAME, tags: [HOSTILE_NAME] });
  const sid = await world.play(flow, {}, true);
  for (const path of ["/plays", `/plays/${sid}`, `/plays/${sid}?span=1.2`, "/flows", `/flows/${flow}`, `/flows/${flow}?tab=versions`, `/compare?a=${sid}&b=${sid}`, `/plays?q=${encodeURIComponent(HOSTILE_NAME)}`]) {
    const page = await world.open(path);
    await page.getByText("onerror").first().waitFor({ state: "attached" });
    equal(await page.evaluate(() => window.pwned), undefined, `${path}: a script of the flow ran`);
    equal(await page.locator("#app img, #app script, #app iframe, #app b").count(), 0, `${path}: markup of the flow`);
    equal(await page.locator('#app a[href^="javascript"]').count(), 0, `${path}: a link of the flow`);
    if (path.includes("span=")) {
      await page.locator(".tags dd", { hasText: "<script>window.pwned=2</script>" }).waitFor();
      await page.locator(".logs .line", { hasText: "onerror" }).first().waitFor();
    }
    await page.close();
  }
});

test(
  "the token is asked for where the server wants one",
  async (world) => {
    const page = await world.open("/plays");
    const dialog = page.getByRole("dialog", { name: /token/ });
    await dialog.waitFor();
    await page.getByRole("textbox", { name: "Token" }).fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("The server refused that token.").waitFor();
    await page.getByRole("textbox", { name: "Token" }).fill("secret-token");
    await page.keyboard.press("Enter");
    await page.getByText("No play yet").waitFor();
    await page.reload();
    await page.getByText("No play yet").waitFor();
    ok(!page.url().includes("secret"), "the token is in no address");
  },
  (() => {
    const file = join(tmpdir(), `hero-ui-token-${process.pid}`);
    writeFileSync(file, "secret-token\n", { mode: 0o600 });
    process.on("exit", () => rmSync(file, { force: true }));
    return { args: ["--token-file", file], token: "secret-token" };
  })(),
);

async function views(world) {
  const hello = await world.flow("hello", HELLO);
  const fails = await world.flow("fails", FAILS, { description: "Fails, to show how a failure is told", tags: ["example"] });
  const first = await world.play(hello, { name: "Ada" }, true);
  const second = await world.play(hello, { name: "Bea", times: 2 }, true);
  await world.rpc("workflow_version_add", { workflow_sid: fails, python_source: `${FAILS}\n# a change\n` });
  const failed = await world.play(fails, {}, true);
  const many = await world.play(await world.flow("many", MANY), { count: 600 }, true);
  const asks = await world.play(await world.flow("asks", ASKS));
  await until("it asks", async () => (await world.rpc("play_pending_resumes", { play_sid: asks })).length > 0);
  return {
    plays: ["/plays", ".list a"],
    failed: [`/plays/${failed}`, ".line.lit"],
    many: [`/plays/${many}?path=1`, ".tree-row.path"],
    asks: [`/plays/${asks}`, ".question"],
    flows: ["/flows", ".flows a"],
    run: [`/flows/${hello}`, "form"],
    source: [`/flows/${hello}?tab=source`, ".cm-content"],
    versions: [`/flows/${fails}?tab=versions`, ".diff"],
    compare: [`/compare?a=${first}&b=${second}`, ".pair"],
    inbox: ["/inbox", ".question"],
    system: ["/system", ".doctor li"],
    nothing: ["/nowhere", "h1"],
  };
}

test(
  "axe finds nothing serious on any view, light and dark",
  async (world) => {
    const found = [];
    for (const [name, [path, ready]] of Object.entries(await views(world))) {
      for (const theme of ["light", "dark"]) {
        const page = await world.open(path, { theme });
        await page.locator(ready).first().waitFor();
        // Through the debugger, which the Content-Security-Policy of the page does not bind.
        const results = await page.evaluate(`(() => { ${AXE}; return axe.run(document, { resultTypes: ["violations"] }); })()`);
        for (const violation of results.violations) {
          if (violation.impact !== "serious" && violation.impact !== "critical") continue;
          found.push(`${name} ${theme}: ${violation.id}: ${violation.nodes.map((node) => `${node.target.join(" ")} ${node.failureSummary.split("\n").slice(1, 2).join("")}`).slice(0, 4).join("; ")}`);
        }
        await page.context().close();
      }
    }
    if (found.length > 0) throw new Error(found.join("\n"));
  },
  { deadline: 400_000 },
);

test(
  "each view has its picture, wide and on a phone, light and dark",
  async (world) => {
    mkdirSync(OUT, { recursive: true });
    for (const [name, [path, ready]] of Object.entries(await views(world))) {
      for (const [kind, width, height, theme] of [["wide", 1440, 900, "light"], ["wide", 1440, 900, "dark"], ["phone", 390, 844, "light"]]) {
        const page = await world.open(path, { width, height, theme });
        await page.locator(ready).first().waitFor();
        if (["plays", "flows", "inbox"].includes(name)) {
          const seen = await page.locator(ready).first().evaluate((one) => {
            const box = one.getBoundingClientRect();
            return one.contains(document.elementFromPoint(box.left + 20, box.top + box.height / 2));
          });
          ok(seen, `${name}, ${kind}: what it is about is seen`);
        }
        const over = await page.evaluate(() => Math.max(...[document.documentElement, document.querySelector("main")].map((one) => one.scrollWidth - one.clientWidth)));
        ok(over <= 0, `${name}, ${kind}: the page is ${over} pixels wider than the screen`);
        await page.screenshot({ path: join(OUT, `${name}-${kind}-${theme}.png`) });
        await page.context().close();
      }
    }
  },
  { deadline: 400_000 },
);
