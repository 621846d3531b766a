import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

/** Where Vite's development server finds a running `hero_logic serve`. */
const server = process.env["HERO_LOGIC_URL"] ?? "http://127.0.0.1:7376";

/** Same origin as far as the server can see: it refuses any other `Origin`. */
const proxied = {
  target: server,
  changeOrigin: true,
  headers: { origin: server },
};

/** The font of the first picture is asked for with the page, not after its styles. */
const earlyFont: Plugin = {
  name: "early-font",
  transformIndexHtml: {
    order: "post",
    handler: (_html, { bundle }) =>
      Object.keys(bundle ?? {})
        .filter((name) => /inter-latin-wght-normal.*\.woff2$/.test(name))
        .map((name) => ({
          tag: "link",
          attrs: { rel: "preload", as: "font", type: "font/woff2", href: `/${name}`, crossorigin: true },
          injectTo: "head",
        })),
  },
};

export default defineConfig({
  plugins: [svelte(), earlyFont],
  build: {
    target: "es2022",
    cssTarget: "es2022",
    modulePreload: { polyfill: false },
    // No asset may become a data: address; the Content-Security-Policy would refuse some of them.
    assetsInlineLimit: 0,
    cssCodeSplit: true,
    chunkSizeWarningLimit: 600,
  },
  server: { proxy: { "/rpc": proxied, "/api": proxied, "/healthz": proxied, "/metrics": proxied } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
