// For whoever works on the page: dist/ as it is now, with the headers that the server sends, and everything else handed on to a
// running `hero_logic serve`. Never part of what is shipped.
//
//   HERO_LOGIC_URL=http://127.0.0.1:7376 node dev/server.mjs [PORT]

import { existsSync, readFileSync, statSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml" };
const SECURITY = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};
const packed = new Map();

function file(response, path, cache) {
  const full = DIST + path;
  if (path.includes("..") || !existsSync(full)) {
    response.writeHead(404, SECURITY).end();
    return;
  }
  const changed = statSync(full).mtimeMs;
  if (packed.get(full)?.changed !== changed) packed.set(full, { changed, bytes: brotliCompressSync(readFileSync(full)) });
  const type = TYPES[path.split(".").pop()] ?? "application/octet-stream";
  response.writeHead(200, { ...SECURITY, "content-type": type, "content-encoding": "br", "cache-control": cache });
  response.end(packed.get(full).bytes);
}

export function startPage(target, port = 0) {
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://page");
    if (/^\/(rpc|api|healthz|metrics)(\/|$)/.test(url.pathname)) return proxy(request, response);
    if (url.pathname.startsWith("/assets/")) {
      return file(response, url.pathname.slice(1), "public, max-age=31536000, immutable");
    }
    file(response, "index.html", "no-cache");
  });

  function proxy(request, response) {
    const to = new URL(target());
    const headers = { ...request.headers, host: to.host };
    if (headers.origin) headers.origin = to.origin;
    const onward = http.request(
      { host: to.hostname, port: to.port, path: request.url, method: request.method, headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
        answer.on("error", () => response.destroy());
      },
    );
    onward.on("error", () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502).end();
    });
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }

  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () =>
      resolve({
        url: `http://127.0.0.1:${server.address().port}`,
        close: () => (server.closeAllConnections(), server.close()),
      }),
    );
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const target = process.env.HERO_LOGIC_URL ?? "http://127.0.0.1:7376";
  const page = await startPage(() => target, Number(process.argv[2] ?? 7377));
  console.log(`the page of ${target}: ${page.url}`);
}
