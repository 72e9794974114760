// Gives a module of the portal's source, which has no imports of its own, to tests.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const ts = createRequire(import.meta.url)("typescript");

export async function source(name) {
  const text = readFileSync(new URL(`../src/lib/${name}.ts`, import.meta.url), "utf8");
  const { outputText } = ts.transpileModule(text, { compilerOptions: { module: "esnext", target: "es2022" } });
  return import("data:text/javascript," + encodeURIComponent(outputText));
}
