import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** Where Vite's development server finds a running `hero_logic serve`. */
const server = process.env["HERO_LOGIC_URL"] ?? "http://127.0.0.1:7376";

/** Same origin as far as the server can see: it refuses any other `Origin`. */
const proxied = {
  target: server,
  changeOrigin: true,
  headers: { origin: server },
};

export default defineConfig({
  plugins: [svelte()],
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
