// The figures of `/metrics` (Prometheus' text format), and what two readings tell about the time between. Pure.

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

export type Figures = Map<string, Sample[]>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

export function parseFigures(text: string): Figures {
  const figures: Figures = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const match = LINE.exec(line);
    if (!match) continue;
    const labels: Record<string, string> = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) {
      labels[name!] = value!.replace(/\\(.)/g, (_, letter: string) => (letter === "n" ? "\n" : letter));
    }
    const samples = figures.get(match[1]!) ?? [];
    samples.push({ labels, value: match[3] === "+Inf" ? Infinity : Number(match[3]) });
    figures.set(match[1]!, samples);
  }
  return figures;
}

/** The sum over all samples of a name whose labels are as given. */
export function figure(figures: Figures, name: string, labels: Record<string, string> = {}): number {
  let sum = 0;
  for (const sample of figures.get(name) ?? []) {
    if (Object.entries(labels).every(([key, value]) => sample.labels[key] === value)) sum += sample.value;
  }
  return sum;
}

export function has(figures: Figures, name: string): boolean {
  return figures.has(name);
}

/** What a counter rose by in a second, between two readings. A server that was started anew begins at 0. */
export function rate(before: Figures, after: Figures, seconds: number, name: string, labels: Record<string, string> = {}): number {
  if (seconds <= 0) return 0;
  const from = figure(before, name, labels);
  const to = figure(after, name, labels);
  return (to >= from ? to - from : to) / seconds;
}

/** A quantile of what a histogram counted between two readings, by its buckets; null where nothing was counted. */
export function quantileOf(before: Figures, after: Figures, name: string, share: number): number | null {
  const bounds = (figures: Figures) => {
    const found = new Map<number, number>();
    for (const sample of figures.get(`${name}_bucket`) ?? []) {
      const bound = sample.labels["le"] === "+Inf" ? Infinity : Number(sample.labels["le"]);
      found.set(bound, (found.get(bound) ?? 0) + sample.value);
    }
    return found;
  };
  const from = bounds(before);
  const counts = [...bounds(after)].map(([bound, value]) => [bound, value - (from.get(bound) ?? 0)] as const).sort((a, b) => a[0] - b[0]);
  const total = counts[counts.length - 1]?.[1] ?? 0;
  if (total <= 0) return null;
  let below = 0;
  let lower = 0;
  for (const [bound, counted] of counts) {
    if (counted >= share * total) {
      if (!Number.isFinite(bound)) return lower;
      const inside = counted - below;
      return lower + (inside > 0 ? ((share * total - below) / inside) * (bound - lower) : 0);
    }
    below = counted;
    lower = bound;
  }
  return lower;
}
