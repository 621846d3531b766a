// Writes src/api/generated.ts from the OpenRPC document, so that no type of the wire is written twice.
//
//   HERO_LOGIC_BIN=…/hero_logic npm run types          asks the binary (no server is needed)
//   HERO_LOGIC_BIN=…/hero_logic npm run check:types    fails where the committed file differs

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TARGET = new URL("../src/api/generated.ts", import.meta.url);
const binary = process.env.HERO_LOGIC_BIN ?? "hero_logic";

/** Asked in a data directory of its own: whatever this machine has in the usual one does not matter. */
function asked() {
  const data = mkdtempSync(join(tmpdir(), "hero_logic-types-"));
  try {
    const call = ["--data-dir", data, "call", "rpc.discover"];
    return execFileSync(binary, call, { encoding: "utf8", maxBuffer: 64 << 20 });
  } finally {
    rmSync(data, { recursive: true });
  }
}

const document = JSON.parse(asked());

const isName = (text) => /^[A-Za-z_$][\w$]*$/.test(text);
const key = (text) => (isName(text) ? text : JSON.stringify(text));

function comment(text, indent) {
  if (!text) return "";
  const clean = text.replaceAll("*/", "* /").split("\n");
  if (clean.length === 1) return `${indent}/** ${clean[0]} */\n`;
  return `${indent}/**\n${clean.map((line) => `${indent} * ${line}`.trimEnd()).join("\n")}\n${indent} */\n`;
}

function union(parts) {
  return [...new Set(parts)].join(" | ");
}

function type(schema, indent = "") {
  if (schema === true || schema === undefined) return "Json";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.allOf) return schema.allOf.map((part) => type(part, indent)).join(" & ");
  if (schema.anyOf) return union(schema.anyOf.map((part) => type(part, indent)));
  if (schema.oneOf) return union(schema.oneOf.map((part) => type(part, indent)));
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return union(schema.enum.map((value) => JSON.stringify(value)));
  if (Array.isArray(schema.type)) {
    return union(schema.type.map((one) => type({ ...schema, type: one }, indent)));
  }
  switch (schema.type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "null":
      return "null";
    case "array": {
      const item = type(schema.items, indent);
      return item.includes(" ") ? `(${item})[]` : `${item}[]`;
    }
    case "object":
      return object(schema, indent);
    default:
      return "Json";
  }
}

function object(schema, indent) {
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0) {
    const values = schema.additionalProperties;
    return values && values !== true ? `Record<string, ${type(values, indent)}>` : "Record<string, Json>";
  }
  const required = new Set(schema.required ?? []);
  const inner = `${indent}  `;
  const lines = properties.map(
    ([name, value]) =>
      `${comment(value.description, inner)}${inner}${key(name)}${required.has(name) ? "" : "?"}: ${type(value, inner)};`,
  );
  return `{\n${lines.join("\n")}\n${indent}}`;
}

let text = `// Made by scripts/generate-types.mjs from the OpenRPC document of hero_logic. Do not edit: npm run types.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
`;
for (const [name, schema] of Object.entries(document.components.schemas)) {
  text += `\n${comment(schema.description, "")}export type ${name} = ${type(schema)};\n`;
}
text += `\n/** The word in \`data.kind\` of an error. */\nexport type ErrorKind = ${union(
  Object.keys(document.components.errors).map((kind) => JSON.stringify(kind)),
)};\n`;
text += "\n/** Every method: its parameters by name, and its result. */\nexport interface Methods {\n";
for (const method of document.methods) {
  const params = method.params.map(
    (param) =>
      `${comment(param.description, "      ")}      ${key(param.name)}${param.required ? "" : "?"}: ${type(param.schema, "      ")};`,
  );
  text += comment(method.summary, "  ");
  text += `  ${key(method.name)}: {\n    params: ${params.length ? `{\n${params.join("\n")}\n    }` : "Record<string, never>"};\n`;
  text += `    result: ${type(method.result.schema, "    ")};\n  };\n`;
}
text += "}\n";

if (process.argv.includes("--check")) {
  if (readFileSync(TARGET, "utf8") !== text) {
    console.error("src/api/generated.ts is not what the OpenRPC document says: npm run types");
    process.exit(1);
  }
  console.log("src/api/generated.ts is as the OpenRPC document says");
} else {
  writeFileSync(TARGET, text);
}
