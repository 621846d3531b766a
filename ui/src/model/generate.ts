// A play that nobody ran, of any size, for tests and measurements. The same seed makes the same spans.

import { SpanStore } from "./store";
import { FAILED, FLOW_ROOT, HAS_ERROR, OK, RPC, RUNNING, STEP } from "./words";

export interface Wanted {
  spans: number;
  /** Children of each span that has some. */
  fan?: number;
  seed?: number;
  /** The last ones still run. */
  running?: boolean;
}

function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function generated({ spans, fan = 20, seed = 1, running = false }: Wanted): SpanStore {
  const random = randomFrom(seed);
  const store = new SpanStore();
  store.reserve(spans);
  const part = store.addPart("generated", -1, 0, 1);
  const whole = Math.max(1000, spans * 2);
  store.add(part, { id: "1.1", parent: -1, name: "generated", kind: FLOW_ROOT, status: running ? RUNNING : OK, start: 0, end: running ? -1 : whole, flags: 0 });
  for (let n = 1; n < spans; n++) {
    const parent = Math.floor((n - 1) / fan);
    const place = (n - 1) % fan;
    const from = store.start[parent]!;
    const to = store.end[parent]! < 0 ? whole : store.end[parent]!;
    const slot = (to - from) / fan;
    const start = from + slot * place + slot * 0.1 * random();
    const failed = random() < 0.001;
    const open = running && place === fan - 1 && n > spans - fan * 3;
    store.add(part, {
      id: `1.${n + 1}`,
      parent,
      name: `${n % 7 === 0 ? "rpc:Shop.reserve" : "step"} ${n % 1000}`,
      kind: n % 7 === 0 ? RPC : STEP,
      status: open ? RUNNING : failed ? FAILED : OK,
      start,
      end: open ? -1 : start + slot * (0.3 + 0.6 * random()),
      flags: failed ? HAS_ERROR : 0,
    });
  }
  return store;
}
