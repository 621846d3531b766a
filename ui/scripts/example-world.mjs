// A small shop's flows and plays, so that pictures show what people see: made by a real server, nothing is drawn by hand.

const SETTLE = `import asyncio
import random
import sys

from hero_tracing import flow, instrument

ORDERS = {"A-1038": 3, "A-1041": 5, "A-1042": 2, "A-1047": 4}


class Prices:
    async def quote(self, sku, currency="EUR"):
        await asyncio.sleep(0.02 + random.random() * 0.09)
        return {"sku": sku, "net": round(random.uniform(2, 90), 2), "currency": currency}


@flow.step("reserve stock", retries=2)
async def reserve(order, lines):
    await asyncio.sleep(0.05 + 0.02 * lines)
    return {"order": order, "shelf": f"B{lines}"}


@flow
async def send_invoice(order: str, lines: int):
    with flow.step("render", template="invoice.html"):
        await asyncio.sleep(0.06)
    with flow.step("e-mail", to="billing@example.com") as span:
        await asyncio.sleep(0.08)
        span.log(f"invoice for {order} is on its way")
    return {"order": order, "pages": lines}


@flow
async def settle_orders(day: str = "2026-11-30", currency: str = "EUR", dry_run: bool = False) -> dict:
    """Prices, reserves and bills the orders of a day."""
    prices = instrument(Prices())
    with flow.step("load orders", day=day) as span:
        await asyncio.sleep(0.12)
        span.tag(orders=len(ORDERS), source="orders.csv")
    for n in range(1, 101, 3):
        print(f"\\r\\x1b[36mfetching\\x1b[0m rates {n:3d} %", end="", file=sys.stderr)
    print("\\r\\x1b[32mfetched\\x1b[0m 42 exchange rates   ", file=sys.stderr)
    print("\\x1b[33mwarning\\x1b[0m 2 rates are older than a day", file=sys.stderr)

    async def settle(order, lines):
        async with flow.step(f"order {order}", lines=lines) as span:
            span.log(f"{order}: {lines} lines, {currency}")
            await asyncio.gather(*(prices.quote(f"sku-{n}", currency) for n in range(lines)))
            place = await reserve(order, lines)
            span.tag(shelf=place["shelf"])
            await flow.invoke_async("send_invoice", spawn=True, order=order, lines=lines)

    await asyncio.gather(*(settle(order, lines) for order, lines in ORDERS.items()))
    with flow.step("close the books", currency=currency):
        await asyncio.sleep(0.09)
    return {"orders": len(ORDERS), "lines": sum(ORDERS.values()), "currency": currency, "dry_run": dry_run}
`;

const IMPORT = `import time

from hero_tracing import flow

ROWS = [("pen", "1.20"), ("paper", "4.80"), ("ink", "7.5O")]


class BadPrice(Exception):
    """A price that is no number."""


@flow.step("parse price")
def parse(sku, text):
    print(f"{sku}: {text}")
    time.sleep(0.02)
    try:
        return float(text)
    except ValueError as error:
        raise BadPrice(f"{sku} costs {text!r}, which is no number") from error


@flow.step("read catalogue")
def read(path):
    time.sleep(0.08)
    return ROWS


@flow
def import_catalogue(path: str = "catalogue.csv"):
    """Reads a supplier's catalogue into the shop."""
    rows = read(path)
    with flow.step("parse rows", rows=len(rows)):
        prices = {sku: parse(sku, text) for sku, text in rows}
    with flow.step("write"):
        return prices
`;

const REPORT = `import time

from hero_tracing import ask_user, flow


@flow.step("gather figures")
def gather(week):
    time.sleep(0.2)
    return {"week": week, "revenue": 18240, "returns": 12}


@flow
def weekly_report(week: int = 48):
    """The figures of a week, looked at by a person before they go out."""
    figures = gather(week)
    choice = ask_user.choice("review", ["publish", "change", "drop"], f"Week {week}: revenue {figures['revenue']} EUR. Publish it?", default="publish")
    with flow.step("publish", choice=choice):
        time.sleep(0.05)
    return {"published": choice == "publish"}
`;

const SYNC = `import random
import time

from hero_tracing import flow


@flow
def sync_stock(shelf: str = "B1", depth: int = 3):
    """Compares the stock with the warehouse's own list."""
    with flow.step("read shelf", shelf=shelf):
        time.sleep(0.01 + random.random() * 0.1 * depth)
    with flow.step("compare"):
        time.sleep(0.01)
    if depth > 6:
        raise flow.Failed(f"shelf {shelf} was not counted")
    return {"shelf": shelf, "differences": depth % 3}
`;

const LONG = `import time

from hero_tracing import flow


@flow
def rebuild_search(shards: int = 40):
    """Builds the search index anew, shard by shard."""
    for shard in range(shards):
        with flow.step(f"shard {shard}", documents=1200 + 31 * shard):
            for part in range(6):
                with flow.step(f"part {part}"):
                    print(f"shard {shard}, part {part}: {200 + part} documents")
                    time.sleep(0.7)
`;

/** Fills a server and returns the sids that pictures are taken of. */
export async function fillWorld(world, { plays = 18 } = {}) {
  const flows = {
    settle: await world.flow("settle_orders", SETTLE, { tags: ["billing"] }),
    import: await world.flow("import_catalogue", IMPORT, { tags: ["catalogue"] }),
    report: await world.flow("weekly_report", REPORT, { tags: ["reports"] }),
    sync: await world.flow("sync_stock", SYNC, { tags: ["stock"] }),
    long: await world.flow("rebuild_search", LONG, { tags: ["search"] }),
  };
  for (let at = 0; at < plays; at += 6) {
    await Promise.all(
      Array.from({ length: 6 }, (_, n) => world.play(flows.sync, { shelf: `B${at + n}`, depth: (at * 7 + n * 3) % 8 }, true, { origin: "warehouse" })),
    );
  }
  const first = await world.play(flows.settle, {}, true, { origin: "page" });
  await world.rpc("workflow_version_add", {
    workflow_sid: flows.settle,
    python_source: SETTLE.replace('with flow.step("close the books"', 'with flow.step("archive", years=10):\n        await asyncio.sleep(0.15)\n    with flow.step("close the books"'),
  });
  const second = await world.play(flows.settle, { day: "2026-12-01", currency: "CHF" }, true, { origin: "page" });
  const failed = await world.play(flows.import, {}, true, { origin: "cli" });
  const retried = await world.rpc("play_retry", { play_sid: failed, from: "failure" });
  await world.rpc("play_wait", { play_sid: retried.sid, timeout_ms: 30_000 });
  // Of the last day.
  await world.addOlderPlays(480, 180_000);
  const asking = await world.play(flows.report, {});
  const running = await world.play(flows.long, {});
  return { flows, first, second, failed, retried: retried.sid, asking, running };
}
