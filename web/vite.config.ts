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

// Boxes in rows that are components do not share a group: the last one ticked would stand for all of them. Picks does.
const boxes = {
  name: "boxes",
  enforce: "pre" as const,
  transform(this: { error(text: string): never }, code: string, id: string) {
    if (!id.endsWith(".svelte")) return;
    for (const [tag] of code.matchAll(/<input\b(?:(?!\/>)[^])*\/>/g)) {
      if (tag.includes("bind:group") && !tag.includes('type="radio"'))
        this.error("bind:group on something else than a radio button: tie the box to Picks, of lib/picks.svelte.ts");
    }
  },
};

export default defineConfig({
  plugins: [kinds, boxes, svelte(), tailwind()],
  build: {
    outDir: "../internal/portal/dist",
    emptyOutDir: true,
    target: "es2023",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the policy allows no data: addresses
  },
});
