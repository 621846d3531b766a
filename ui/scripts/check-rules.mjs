// Rules of this page that no type tells: text from flows never becomes HTML, nothing is inline, files stay small.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../src/", import.meta.url));
const LONGEST = 440;
const RULES = [
  [/\{@html/, "no {@html}: what flows write would become markup"],
  [/\.(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write|new Function\(|\beval\(/, "no HTML or code from text"],
  [/<[a-zA-Z][^>]*\sstyle="/, "no style attributes: style: directives go through the CSSOM"],
  [/(?::|<|as )\s*any\b/, "no any"],
  [/https?:\/\/(?!www\.w3\.org)/, "no address of another server"],
];

const problems = [];
for (const name of readdirSync(ROOT, { recursive: true })) {
  if (!/\.(ts|svelte|css)$/.test(name) || name.endsWith("generated.ts")) continue;
  const lines = readFileSync(ROOT + name, "utf8").split("\n");
  if (lines.length > LONGEST) problems.push(`${name}: ${lines.length} lines`);
  lines.forEach((line, at) => {
    for (const [rule, why] of RULES) if (rule.test(line)) problems.push(`${name}:${at + 1}: ${why}`);
  });
}
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
