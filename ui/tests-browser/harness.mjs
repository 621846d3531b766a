// Starts what a test needs, each test its own: a server binary (HERO_LOGIC_BIN) on its own data directory with the page that
// is embedded in it, and a browser. Ends all of it. PAGE=dist serves dist/ as it is now before that server, by dev/server.mjs:
// for whoever works on the page and does not build the binary anew each time.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { startPage } from "../dev/server.mjs";

const BINARY = process.env.HERO_LOGIC_BIN;
const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
export const DEADLINE = Number(process.env.DEADLINE_MS ?? 30_000);

export class World {
  problems = [];
  cleanups = [];

  static async make(options = {}) {
    if (!BINARY) throw new Error("HERO_LOGIC_BIN names no binary of hero_logic");
    const world = new World();
    world.data = mkdtempSync(join(tmpdir(), "hero-ui-"));
    world.cleanups.push(() => rmSync(world.data, { recursive: true, force: true, maxRetries: 5 }));
    world.port = await freePort();
    world.options = options;
    await world.startServer();
    await world.servePage();
    return world;
  }

  /** A directory of this test, for files by which it and its flows speak. */
  directory() {
    const made = mkdtempSync(join(tmpdir(), "hero-ui-gate-"));
    this.cleanups.push(() => rmSync(made, { recursive: true, force: true }));
    return made;
  }

  async startServer() {
    const args = ["serve", "--data-dir", this.data, "--listen", `127.0.0.1:${this.port}`, ...(this.options.args ?? [])];
    const server = spawn(BINARY, args, { stdio: ["ignore", "pipe", "inherit"], env: cleanEnvironment() });
    this.server = server;
    this.exited = new Promise((resolve) => server.once("exit", resolve));
    await within(
      "the server answers",
      new Promise((resolve, reject) => {
        server.stdout.once("data", resolve);
        server.once("exit", (code) => reject(new Error(`the server left with ${code}`)));
      }),
    );
  }

  async stopServer(signal = "SIGTERM") {
    this.server.kill(signal);
    await within("the server has left", this.exited);
  }

  get serverUrl() {
    return `http://127.0.0.1:${this.port}`;
  }

  async servePage() {
    if (process.env.PAGE !== "dist") {
      this.url = this.serverUrl;
      return;
    }
    const page = await startPage(() => this.serverUrl);
    this.url = page.url;
    this.cleanups.push(page.close);
  }

  async rpc(method, params = {}) {
    const answer = await fetch(`${this.serverUrl}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(this.options.token ? { authorization: `Bearer ${this.options.token}` } : {}) },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = await answer.json();
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** Adds a flow and returns its sid. */
  async flow(name, python_source, more = {}) {
    return (await this.rpc("workflow_create", { name, python_source, ...more })).sid;
  }

  /** Starts a play and returns its sid; `wait`: when it has ended. */
  async play(workflow_sid, input_data = {}, wait = false, more = {}) {
    const sid = await this.rpc("play_run_async", { workflow_sid, input_data, ...more });
    if (wait) await this.rpc("play_wait", { play_sid: sid, timeout_ms: DEADLINE });
    return sid;
  }

  /**
   * Puts `count` older plays before those that are there, one every `every` ms into the past: copies of plays that were
   * run, straight into the database. No machine of a test runs so many.
   */
  async addOlderPlays(count, every) {
    await this.stopServer();
    execFileSync("python3", ["-c", OLDER_PLAYS, this.data, String(count), String(every)], { stdio: "inherit" });
    await this.startServer();
  }

  async open(path = "/", { width = 1400, height = 860, theme = "light", reduced = true } = {}) {
    if (!this.browser) {
      this.browser = await chromium.launch({ executablePath: BROWSER, args: FLAGS });
    }
    const context = await this.browser.newContext({
      viewport: { width, height },
      colorScheme: theme,
      reducedMotion: reduced ? "reduce" : "no-preference",
    });
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE);
    page.on("pageerror", (error) => this.problems.push(`error in the page: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      const text = message.text();
      if (/Content Security Policy|Content-Security-Policy/.test(text)) this.problems.push(`refused by the policy: ${text}`);
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "data:" && url.protocol !== "blob:" && url.origin !== this.url) {
        this.problems.push(`a request left the server: ${request.url()}`);
      }
    });
    await page.goto(this.url + path);
    return page;
  }

  async end() {
    await this.browser?.close();
    if (this.server.exitCode === null && this.server.signalCode === null) await this.stopServer("SIGTERM");
    for (const cleanup of this.cleanups.reverse()) await cleanup();
  }
}

const OLDER_PLAYS = `
import pathlib, random, sqlite3, sys, time
data, count, every = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
base, = pathlib.Path(data).glob("*.db")
db = sqlite3.connect(base)
columns = [row[1] for row in db.execute("PRAGMA table_info(plays)")]
plays = [dict(zip(columns, row)) for row in db.execute("SELECT * FROM plays WHERE completed_at IS NOT NULL AND depth = 1 ORDER BY id")]
plays = plays or [dict(zip(columns, row)) for row in db.execute("SELECT * FROM plays WHERE completed_at IS NOT NULL ORDER BY id")]
oldest = min(play["created_at"] for play in plays)
chance = random.Random(7)
def copies():
    for n in range(count):
        play = dict(chance.choice(plays))
        at = oldest - (n + chance.random()) * every
        length = play["duration_ms"] * chance.uniform(0.5, 3)
        play.update(id=-1 - n, sid="%s-7000-8000-%012d" % (sid(at), count - n), created_at=at, started_at=at, completed_at=at + length, duration_ms=length, idempotency_key=None)
        yield [play[column] for column in columns]
def sid(at):
    text = "%012x" % int(at)
    return text[:8] + "-" + text[8:]
with db:
    db.executemany("INSERT INTO plays (%s) VALUES (%s)" % (", ".join(columns), ", ".join("?" * len(columns))), copies())
`;

/** Options of the server come from HERO_LOGIC_*: those of whoever runs the tests are not theirs. */
function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("HERO_LOGIC_")));
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export function within(what, promise, ms = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms until ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks again until `check` gives something true. */
export async function until(what, check, ms = DEADLINE) {
  const ends = Date.now() + ms;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > ends) throw new Error(`waited ${ms} ms until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function equal(found, wanted, what = "") {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${what}\n  wanted ${JSON.stringify(wanted)}\n  found  ${JSON.stringify(found)}`);
  }
}

export function ok(value, what) {
  if (!value) throw new Error(what);
}

const tests = [];

export function test(name, body, options = {}) {
  tests.push({ name, body, options });
}

export async function runAll(filter) {
  let passed = 0;
  let failed = 0;
  for (const { name, body, options } of tests) {
    if (filter && !name.includes(filter)) continue;
    const began = Date.now();
    let world;
    try {
      world = await World.make(options);
      await within(`"${name}" has ended`, body(world), options.deadline ?? 120_000);
      if (world.problems.length > 0) throw new Error(world.problems.join("\n"));
      passed += 1;
      console.log(`ok      ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack ?? error}\n${world?.problems.join("\n") ?? ""}`);
    } finally {
      await world?.end().catch((error) => console.log(`could not be tidied up: ${error.message}`));
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
