// The parameters of a flow as a JSON Schema: from what the author says of the inputs, where that is one, and from the
// annotations and defaults of the function. Pure.

import type { Json, Signature } from "../api/generated";
import type { Schema } from "./schema";

export function schemaOfInputs(signature: Signature | null | undefined, inputs: Json): Schema {
  const said = inputs !== null && typeof inputs === "object" && !Array.isArray(inputs) ? inputs : {};
  const saidOf = propertiesOf(said);
  if (!signature) {
    return "properties" in said ? { ...said, type: "object" } : { type: "object", properties: saidOf, required: [] };
  }
  const properties: Record<string, Json> = {};
  const required: string[] = [];
  for (const parameter of signature.parameters) {
    const own: Schema = { ...schemaOfAnnotation(parameter.annotation ?? null), ...asSchema(saidOf[parameter.name]) };
    if (parameter.default !== null && parameter.default !== undefined && own["default"] === undefined) {
      own["default"] = parameter.default;
      if (own["type"] === undefined && own["enum"] === undefined) Object.assign(own, schemaOfValue(parameter.default));
    }
    if (parameter.annotation && own["description"] === undefined && own["type"] === undefined && own["enum"] === undefined) own["description"] = parameter.annotation;
    properties[parameter.name] = own;
    if (parameter.required) required.push(parameter.name);
  }
  if (signature.accepts_extra) {
    for (const [name, schema] of Object.entries(saidOf)) properties[name] ??= asSchema(schema);
  }
  return { type: "object", properties, required };
}

function propertiesOf(said: { [key: string]: Json }): { [key: string]: Json } {
  const { properties } = said;
  if (properties !== null && typeof properties === "object" && !Array.isArray(properties)) return properties;
  // By another convention the inputs are named directly.
  return "type" in said ? {} : said;
}

function asSchema(value: Json | undefined): Schema {
  if (typeof value === "string") return schemaOfAnnotation(value);
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

const SIMPLE: Record<string, Schema> = {
  str: { type: "string" },
  string: { type: "string" },
  int: { type: "integer" },
  integer: { type: "integer" },
  float: { type: "number" },
  number: { type: "number" },
  bool: { type: "boolean" },
  boolean: { type: "boolean" },
  list: { type: "array" },
  array: { type: "array" },
  tuple: { type: "array" },
  set: { type: "array" },
  dict: { type: "object" },
  object: {},
  Path: { type: "string" },
};

/** A Python annotation as a schema; `{}` where it says nothing that a form could use. */
export function schemaOfAnnotation(annotation: string | null): Schema {
  if (!annotation) return {};
  let text = annotation.trim().replace(/^["']|["']$/g, "");
  const optional = /^(?:typing\.)?Optional\[(.+)\]$/.exec(text);
  if (optional) text = optional[1]!;
  const parts = splitTop(text, "|").filter((part) => part !== "None");
  if (parts.length !== 1) return {};
  text = parts[0]!;
  const literal = /^(?:typing\.)?Literal\[(.+)\]$/.exec(text);
  if (literal) {
    const values = splitTop(literal[1]!, ",").map(literalValue);
    return values.every((value) => value !== undefined) ? { enum: values } : {};
  }
  const known = SIMPLE[text] ?? SIMPLE[text.slice(text.lastIndexOf(".") + 1)];
  if (known) return { ...known };
  const generic = /^(?:typing\.)?(\w+)\[(.*)\]$/.exec(text);
  if (!generic) return {};
  const outer = generic[1]!.toLowerCase();
  if (outer === "list" || outer === "sequence" || outer === "iterable" || outer === "set" || outer === "tuple") {
    return { type: "array", items: schemaOfAnnotation(splitTop(generic[2]!, ",")[0] ?? null) };
  }
  if (outer === "dict" || outer === "mapping") return { type: "object" };
  return {};
}

function schemaOfValue(value: Json): Schema {
  switch (typeof value) {
    case "string":
      return { type: "string" };
    case "number":
      return { type: Number.isInteger(value) ? "integer" : "number" };
    case "boolean":
      return { type: "boolean" };
    default:
      return Array.isArray(value) ? { type: "array" } : value === null ? {} : { type: "object" };
  }
}

function literalValue(text: string): Json | undefined {
  const quoted = /^(["'])(.*)\1$/.exec(text);
  if (quoted) return quoted[2]!.replaceAll(`\\${quoted[1]}`, quoted[1]!);
  if (text === "True") return true;
  if (text === "False") return false;
  if (text === "None") return null;
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

/** Splits at a separator that is in no bracket and no quotes. */
export function splitTop(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = "";
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]!;
    if (quote !== "") {
      if (letter === "\\") at += 1;
      else if (letter === quote) quote = "";
    } else if (letter === '"' || letter === "'") quote = letter;
    else if ("[({".includes(letter)) depth += 1;
    else if ("])}".includes(letter)) depth -= 1;
    else if (letter === separator && depth === 0) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  parts.push(text.slice(from).trim());
  return parts;
}
