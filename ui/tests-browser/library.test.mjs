import { HELLO } from "./flows.mjs";
import { equal, ok, test, until } from "./harness.mjs";

test("a flow is edited, saved and run from its form", async (world) => {
  const sid = await world.flow("hello", HELLO);
  const page = await world.open(`/flows/${sid}?tab=source`);
  const editor = page.locator(".cm-content");
  await editor.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("def broken(:\n");
  // Where the server finds an error is shown as one types, before anything is saved.
  await page.locator(".cm-lint-marker-error").waitFor();
  await page.keyboard.press("Control+s");
  await page.getByRole("alert").first().waitFor();
  await page.getByRole("button", { name: "Undo all" }).click();
  await editor.click();
  await page.keyboard.press("Control+Home");
  await page.keyboard.type("# by hand\n");
  await page.getByRole("button", { name: "Save as version 2" }).click();
  await page.getByText("Version 2 is the current one now.").waitFor();
  await page.getByRole("tab", { name: "Versions" }).click();
  await page.locator(".diff .added", { hasText: "# by hand" }).waitFor();

  await page.getByRole("tab", { name: "Run" }).click();
  await page.getByLabel("times").fill("1.5");
  await page.getByText("A whole number, please.").waitFor();
  await page.getByLabel("times").fill("2");
  await page.getByLabel("name").first().fill("Ada");
  await page.getByRole("button", { name: "Save this input…" }).click();
  await page.getByLabel("Name of this input").fill("twice");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.reload();
  await page.getByRole("button", { name: "twice", exact: true }).click();
  equal(await page.getByLabel("times").inputValue(), "2", "the saved input is there");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL(/\/plays\//);
  await page.locator("header .status.success").waitFor();
  const play = await world.rpc("play_get", { play_sid: new URL(page.url()).pathname.split("/")[2] });
  equal(JSON.parse(play.output_data), "Hello, Ada!, Hello, Ada!");
  equal(JSON.parse(play.input_data), { name: "Ada", times: 2 });
});

test("the library is searched as one types, with the match lit", async (world) => {
  await world.flow("hello", HELLO);
  await world.flow("other", HELLO, { description: "Says goodbye" });
  const page = await world.open("/flows");
  await page.getByRole("link", { name: /other/ }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("GOODB");
  await page.locator("mark", { hasText: "goodb" }).waitFor();
  await until("one is found", async () => (await page.locator(".flows section a").count()) === 1);
  ok(page.url().includes("q=GOODB"), "the search is in the address");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "other" }).waitFor();
});

test("a flow is made, renamed and removed", async (world) => {
  const page = await world.open("/flows");
  await page.getByText("The library is empty").waitFor();
  await page.getByRole("button", { name: "New flow" }).click();
  await page.getByLabel("Name", { exact: true }).fill("mine");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { name: "mine" }).waitFor();
  await page.getByRole("button", { name: "Edit…" }).click();
  await page.getByLabel("Name", { exact: true }).fill("ours");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("heading", { name: "ours" }).waitFor();
  await page.getByRole("button", { name: "Remove…" }).click();
  await page.getByRole("button", { name: "Remove", exact: true }).click();
  await until("it is gone", async () => (await world.rpc("workflow_list", {})).items.length === 0);
});
