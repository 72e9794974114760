// Gives a module of the portal's source to tests; what it imports of the same folder comes with it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const ts = createRequire(import.meta.url)("typescript");
const made = new Map(); // each module is one, whoever imports it

function address(name) {
  if (!made.has(name)) {
    const text = readFileSync(new URL(`../src/lib/${name}.ts`, import.meta.url), "utf8");
    const { outputText } = ts.transpileModule(text, { compilerOptions: { module: "esnext", target: "es2022" } });
    const whole = outputText.replace(
      /(from ")\.\/([\w.]+)(")/g,
      (_, before, other, after) => before + address(other) + after,
    );
    made.set(name, "data:text/javascript," + encodeURIComponent(whole));
  }
  return made.get(name);
}

export const source = (name) => import(address(name));
