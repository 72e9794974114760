import { readFileSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import tailwind from "@tailwindcss/vite";
import { defineConfig } from "vite";

// The kinds of event that the activity log's filter offers are those of the server's own source.
const events = new URL("../internal/core/access/event.go", import.meta.url).pathname;
const kinds = {
  name: "kinds",
  resolveId: (id: string) => (id === "virtual:kinds" ? "\0" + id : undefined),
  load: (id: string) => {
    if (id !== "\0virtual:kinds") return undefined;
    const all = [...readFileSync(events, "utf8").matchAll(/EventKind = "(\w+\.\w+)"/g)].map((m) => m[1]);
    return `export default ${JSON.stringify(all.sort())}`;
  },
};

export default defineConfig({
  plugins: [kinds, svelte(), tailwind()],
  build: {
    outDir: "../internal/portal/dist",
    emptyOutDir: true,
    target: "es2023",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the policy allows no data: addresses
  },
});
