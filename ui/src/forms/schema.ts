// A JSON Schema into the fields of a form, and what was filled in back into JSON. Pure. What a schema says that is not
// understood here becomes a field for JSON; whether an answer fits is decided by the server.

import type { Json } from "../api/generated";
import { parseJson } from "../model/json";

/** As JSON writes them. */
const WHOLE = /^-?(0|[1-9]\d*)$/;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i;

export type Schema = { [key: string]: Json };

export type FieldKind = "text" | "long" | "number" | "integer" | "boolean" | "choice" | "choices" | "object" | "json" | "any";

export interface Field {
  name: string;
  label: string;
  help: string;
  required: boolean;
  kind: FieldKind;
  schema: Schema;
  /** For `choice` and `choices`. */
  options: Json[];
  /** For `object`. */
  fields: Field[];
  /** Proposed; undefined if there is none. */
  initial: Json | undefined;
}

/** What a person filled in. */
export interface Filled {
  text: string;
  on: boolean;
  /** Indices of `options`. */
  chosen: number[];
  /** Whether the person touched it: what is optional and untouched is left out. */
  touched: boolean;
  fields: Record<string, Filled>;
}

export type Read = { ok: true; value: Json | undefined } | { ok: false; problem: string };

const DEEPEST = 4;

function isObject(value: unknown): value is Schema {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** Follows `#/…` within the schema. */
export function resolve(schema: Json | undefined, root: Schema): Schema {
  let at: Json | undefined = schema;
  for (let hops = 0; hops < 20 && isObject(at) && typeof at["$ref"] === "string"; hops++) {
    const ref: string = at["$ref"];
    if (!ref.startsWith("#")) return {};
    let target: Json | undefined = root;
    for (const part of ref.slice(1).split("/").filter(Boolean)) {
      const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      target = isObject(target) ? target[key] : undefined;
    }
    at = target;
  }
  return isObject(at) ? at : {};
}

export function fieldOf(schema: Json | undefined, name: string, required: boolean, root?: Schema, depth = 0): Field {
  const top = root ?? (isObject(schema) ? schema : {});
  const own = withoutNull(resolve(schema, top), top);
  const text = (key: string) => (typeof own[key] === "string" ? own[key] : "");
  const field: Field = {
    name,
    label: text("title") || name,
    help: text("description"),
    required,
    kind: "any",
    schema: own,
    options: [],
    fields: [],
    initial: own["default"],
  };
  const type = own["type"];
  const items = resolve(own["items"], top);
  if (Array.isArray(own["enum"])) {
    field.kind = "choice";
    field.options = own["enum"];
  } else if (own["const"] !== undefined) {
    field.kind = "choice";
    field.options = [own["const"]];
  } else if (type === "boolean") field.kind = "boolean";
  else if (type === "integer" || type === "number") field.kind = type;
  else if (type === "string") field.kind = own["format"] === "long" || Number(own["maxLength"] ?? 0) > 200 ? "long" : "text";
  else if (type === "array" && Array.isArray(items["enum"]) && own["uniqueItems"] === true) {
    field.kind = "choices";
    field.options = items["enum"];
  } else if (isObject(own["properties"]) && depth < DEEPEST) {
    field.kind = "object";
    const needed = Array.isArray(own["required"]) ? own["required"] : [];
    field.fields = Object.entries(own["properties"]).map(([key, value]) => {
      const child = fieldOf(value, key, needed.includes(key), top, depth + 1);
      if (child.initial === undefined && isObject(own["default"])) child.initial = own["default"][key];
      return child;
    });
  } else if (type === "array" || type === "object") field.kind = "json";
  return field;
}

/** `anyOf` of one thing and null, or `type: [x, "null"]`, is that thing, optional. */
function withoutNull(schema: Schema, root: Schema): Schema {
  const { type } = schema;
  if (Array.isArray(type)) {
    const rest = type.filter((one) => one !== "null");
    if (rest.length === 1) return { ...schema, type: rest[0]! };
  }
  for (const key of ["anyOf", "oneOf"] as const) {
    const parts = schema[key];
    if (!Array.isArray(parts)) continue;
    const rest = parts.map((part) => resolve(part, root)).filter((part) => part["type"] !== "null");
    if (rest.length === 1) return { ...rest[0]!, ...without(schema, key) };
  }
  return schema;
}

function without(schema: Schema, key: string): Schema {
  const { [key]: _left, ...rest } = schema;
  return rest;
}

export function filledWith(field: Field, value: Json | undefined = field.initial): Filled {
  const filled: Filled = { text: "", on: false, chosen: [], touched: false, fields: {} };
  switch (field.kind) {
    case "boolean":
      filled.on = value === true;
      break;
    case "choice": {
      const at = indexOf(field.options, value);
      filled.chosen = at >= 0 ? [at] : [];
      break;
    }
    case "choices":
      filled.chosen = Array.isArray(value) ? value.map((one) => indexOf(field.options, one)).filter((at) => at >= 0) : [];
      break;
    case "object":
      for (const child of field.fields) {
        filled.fields[child.name] = filledWith(child, isObject(value) ? (value[child.name] ?? child.initial) : child.initial);
      }
      break;
    case "text":
    case "long":
      filled.text = typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);
      break;
    default:
      filled.text = value === undefined ? "" : field.kind === "any" && typeof value === "string" && !looksLikeJson(value) ? value : JSON.stringify(value, null, field.kind === "json" ? 2 : undefined);
  }
  return filled;
}

function indexOf(options: Json[], value: Json | undefined): number {
  const wanted = JSON.stringify(value);
  return options.findIndex((option) => JSON.stringify(option) === wanted);
}

function looksLikeJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What is filled in, as JSON; `undefined` where it is left out. Problems are told in words. */
export function read(field: Field, filled: Filled): Read {
  const value = (json: Json | undefined): Read => ({ ok: true, value: json });
  const problem = (text: string): Read => ({ ok: false, problem: text });
  switch (field.kind) {
    case "boolean":
      return value(field.required || filled.touched ? filled.on : undefined);
    case "choice": {
      const at = filled.chosen[0];
      if (at === undefined) return field.required ? problem("Choose one.") : value(undefined);
      return value(field.required || filled.touched ? field.options[at] : undefined);
    }
    case "choices":
      if (!field.required && !filled.touched) return value(undefined);
      return checked(field, filled.chosen.map((at) => field.options[at]!));
    case "object":
      return readObject(field, filled);
    case "text":
    case "long":
      if (!field.required && !filled.touched) return value(undefined);
      return checked(field, filled.text);
    default:
      break;
  }
  if (filled.text.trim() === "") {
    return field.required ? problem("This is needed.") : value(undefined);
  }
  if (!field.required && !filled.touched) return value(undefined);
  if (field.kind === "number" || field.kind === "integer") {
    const number = Number(filled.text);
    if (!Number.isFinite(number)) return problem("A number, please.");
    if (field.kind === "integer" && !Number.isInteger(number)) return problem("A whole number, please.");
    const wrong = problemOf(field.schema, number);
    // As it was typed: a double may have fewer digits.
    const text = filled.text.trim();
    return wrong !== null ? problem(wrong) : value((field.kind === "integer" ? WHOLE : NUMBER).test(text) ? (parseJson(text) as Json) : number);
  }
  try {
    return checked(field, parseJson(filled.text) as Json);
  } catch {
    if (field.kind === "any") return checked(field, filled.text);
    return problem("This is no JSON. Texts need quotes.");
  }
}

function readObject(field: Field, filled: Filled): Read {
  const object: { [key: string]: Json } = {};
  for (const child of field.fields) {
    const one = read(child, filled.fields[child.name] ?? filledWith(child));
    if (!one.ok) return { ok: false, problem: `${child.label}: ${one.problem}` };
    if (one.value !== undefined) object[child.name] = one.value;
  }
  if (!field.required && Object.keys(object).length === 0) return { ok: true, value: undefined };
  return { ok: true, value: object };
}

function checked(field: Field, json: Json): Read {
  const problem = problemOf(field.schema, json);
  return problem === null ? { ok: true, value: json } : { ok: false, problem };
}

/** What does not fit the schema, in words; null if nothing is found. */
export function problemOf(schema: Schema, json: Json): string | null {
  const limit = (key: string) => (typeof schema[key] === "number" ? schema[key] : undefined);
  const type = schema["type"];
  if (type === "array" && !Array.isArray(json)) return "A list, please: [ … ].";
  if (type === "object" && !isObject(json)) return "An object, please: { … }.";
  if (type === "null" && json !== null) return "null, please.";
  if (typeof json === "number") {
    const least = limit("minimum");
    const most = limit("maximum");
    const above = limit("exclusiveMinimum");
    const under = limit("exclusiveMaximum");
    const step = limit("multipleOf");
    if (least !== undefined && json < least) return `At least ${least}.`;
    if (most !== undefined && json > most) return `At most ${most}.`;
    if (above !== undefined && json <= above) return `More than ${above}.`;
    if (under !== undefined && json >= under) return `Less than ${under}.`;
    if (step !== undefined && Math.abs(json / step - Math.round(json / step)) > 1e-9) return `A multiple of ${step}.`;
  }
  if (typeof json === "string") {
    const letters = [...json].length;
    const least = limit("minLength");
    const most = limit("maxLength");
    if (least !== undefined && letters < least) return least === 1 ? "This is needed." : `At least ${least} characters.`;
    if (most !== undefined && letters > most) return `At most ${most} characters.`;
    if (typeof schema["pattern"] === "string" && !matches(schema["pattern"], json)) return `Of the form ${schema["pattern"]}.`;
  }
  if (Array.isArray(json)) {
    const least = limit("minItems");
    const most = limit("maxItems");
    if (least !== undefined && json.length < least) return `At least ${least}.`;
    if (most !== undefined && json.length > most) return `At most ${most}.`;
  }
  return null;
}

function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true; // The server knows.
  }
}
