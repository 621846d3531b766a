// Fails where the first load (the page, its scripts and styles as they come for `/`) is over 150 kB compressed.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const DIST = new URL("../dist/", import.meta.url);
const MOST = 150_000;

const html = readFileSync(new URL("index.html", DIST), "utf8");
const files = new Set([...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((match) => match[1]));
for (const file of files) {
  if (!file.endsWith(".js")) continue;
  const text = readFileSync(new URL(file, DIST), "utf8");
  for (const match of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) files.add(`assets/${match[1]}`);
}
let sum = gzipSync(html).length;
for (const file of files) sum += gzipSync(readFileSync(new URL(file, DIST))).length;
console.log(`first load: ${(sum / 1000).toFixed(1)} kB compressed, ${files.size + 1} files`);
if (sum > MOST) {
  console.error(`over ${MOST / 1000} kB`);
  process.exit(1);
}
if (/<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=/.test(html)) {
  console.error("index.html has something inline: the Content-Security-Policy refuses it");
  process.exit(1);
}
