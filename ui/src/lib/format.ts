// How times, sizes and counts are written. Pure; the reader's locale and zone.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `850 µs`, `12 ms`, `1.25 s`, `3m 04s`, `2h 05m`, `3d 4h`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms === 0) return "0 ms";
  if (ms < 0.9995) return `${Math.round(ms * 1000)} µs`;
  if (ms < 9.995) return `${trim(ms.toFixed(2))} ms`;
  if (ms < 99.95) return `${trim(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_995) return `${trim((ms / SECOND).toFixed(2))} s`;
  if (ms < 59_950) return `${trim((ms / SECOND).toFixed(1))} s`;
  const whole = Math.round(ms / SECOND) * SECOND;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m ${two((whole % MINUTE) / SECOND)}s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h ${two((whole % HOUR) / MINUTE)}m`;
  return `${Math.floor(whole / DAY)}d ${Math.floor((whole % DAY) / HOUR)}h`;
}

function trim(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, "0");
}

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : trim(value.toFixed(1))} ${units[unit]}`;
}

const whole = new Intl.NumberFormat();

export function count(value: number): string {
  return whole.format(value);
}

/** `1 play`, `2 plays`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const dayFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const yearFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** `14:03:21`; with fractions `14:03:21.482`. */
export function clock(ms: number, fraction = false): string {
  const text = clockFormat.format(ms);
  return fraction ? `${text}.${String(Math.floor(((ms % 1000) + 1000) % 1000)).padStart(3, "0")}` : text;
}

/** The clock today, with the day before that. */
export function moment(ms: number, now = Date.now()): string {
  const then = new Date(ms);
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) return clock(ms);
  const format = then.getFullYear() === today.getFullYear() ? dayFormat : yearFormat;
  return `${format.format(ms)} ${clock(ms)}`;
}

/** `just now`, `4 min ago`, `3 h ago`, `2 days ago`. */
export function ago(ms: number, now = Date.now()): string {
  const past = now - ms;
  if (past < -SECOND) return `in ${coarse(-past)}`;
  if (past < 5 * SECOND) return "just now";
  return `${coarse(past)} ago`;
}

function coarse(ms: number): string {
  if (ms < MINUTE) return `${Math.max(1, Math.round(ms / SECOND))} s`;
  if (ms < HOUR) return `${Math.round(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.round(ms / HOUR)} h`;
  return `${Math.round(ms / DAY)} days`;
}

/** `14:03:21.482918`, as precise as the wire. */
export function exact(ms: number): string {
  const micro = Math.round((ms % 1) * 1000);
  return `${new Date(Math.floor(ms)).toISOString().replace("T", " ").replace("Z", "")}${String(micro).padStart(3, "0")} UTC`;
}

/** The tail of a sid: its beginning is the time and the same for neighbours. */
export function shortSid(sid: string): string {
  return sid.length > 12 ? sid.slice(-8) : sid;
}

export function percent(part: number, whole: number): string {
  if (whole === 0) return "–";
  const value = (100 * part) / whole;
  return `${value > 0 && value < 10 ? trim(value.toFixed(1)) : Math.round(value)} %`;
}
