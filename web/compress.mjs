// Puts beside each built file what brotli makes of it, where that is smaller.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const root = new URL("../internal/portal/dist", import.meta.url).pathname;
let sum = 0;
for (const name of readdirSync(root, { recursive: true })) {
  const path = join(root, name);
  if (!statSync(path).isFile()) continue;
  const plain = readFileSync(path);
  const packed = brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  if (packed.length < plain.length) writeFileSync(path + ".br", packed);
  sum += Math.min(packed.length, plain.length);
}
console.log(`the whole application is ${(sum / 1024).toFixed(1)} KiB compressed`);
