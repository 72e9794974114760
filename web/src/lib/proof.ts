// Verifies, in the browser itself, that a record lies in the log that a checkpoint signs: RFC 6962's tree with SHA-256,
// and a note signed with Ed25519, as golang.org/x/mod/sumdb/note writes it.
import type { components } from "./openapi";

type Checkpoint = components["schemas"]["Checkpoint"];
type Bytes = Uint8Array<ArrayBuffer>;

const utf8 = new TextEncoder();
export const bytes = (base64: string): Bytes => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const same = (a: Bytes, b: Bytes) => a.length === b.length && a.every((x, i) => x === b[i]);

function join(...parts: Bytes[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

const sha256 = async (data: Bytes): Promise<Bytes> => new Uint8Array(await crypto.subtle.digest("SHA-256", data));
const parent = (left: Bytes, right: Bytes) => sha256(join(Uint8Array.of(1), left, right));

/**
 * rootOf gives the root of a tree of size leaves in which leaf number index has these hashes beside its way up;
 * undefined where there are too many or too few.
 */
export async function rootOf(leaf: Bytes, index: number, size: number, hashes: Bytes[]): Promise<Bytes | undefined> {
  let [fn, sn] = [BigInt(index), BigInt(size) - 1n];
  if (fn > sn) return undefined;
  let root = await sha256(join(Uint8Array.of(0), leaf));
  for (const beside of hashes) {
    if (sn === 0n) return undefined;
    if (fn & 1n || fn === sn) {
      root = await parent(beside, root);
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      root = await parent(root, beside);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n ? root : undefined;
}

/** continues tells whether a log of size to with one root begins with the log of size from with the other. */
export async function continues(
  from: number,
  first: Bytes,
  to: number,
  second: Bytes,
  hashes: Bytes[],
): Promise<boolean> {
  if (from === to) return hashes.length === 0 && same(first, second);
  if (from === 0) return hashes.length === 0;
  if (from > to) return false;
  let [fn, sn] = [BigInt(from) - 1n, BigInt(to) - 1n];
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  const path = (from & (from - 1)) === 0 ? [first, ...hashes] : hashes;
  if (path.length === 0) return false;
  let [fr, sr] = [path[0]!, path[0]!];
  for (const c of path.slice(1)) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      [fr, sr] = [await parent(c, fr), await parent(c, sr)];
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      sr = await parent(sr, c);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && same(fr, first) && same(sr, second);
}

/** opened is what a signed note says, where the key signed it. */
export async function opened(note: string, key: string): Promise<{ size: number; root: Bytes } | undefined> {
  const [name, hash, ...rest] = key.split("+");
  if (!name || !hash) return undefined;
  const raw = bytes(rest.join("+"));
  const end = note.indexOf("\n\n");
  if (raw.length !== 33 || raw[0] !== 1 || end < 0) return undefined;
  const id = (await sha256(join(utf8.encode(name + "\n"), raw))).slice(0, 4);
  if ([...id].map((b) => b.toString(16).padStart(2, "0")).join("") !== hash) return undefined;
  const line = note
    .slice(end + 2)
    .split("\n")
    .find((l) => l.startsWith(`— ${name} `));
  const signature = line ? bytes(line.slice(name.length + 3)) : new Uint8Array();
  if (signature.length !== 68 || !same(signature.slice(0, 4), id)) return undefined;
  const text = note.slice(0, end + 1);
  const verifier = await crypto.subtle.importKey("raw", raw.slice(1), "Ed25519", false, ["verify"]);
  if (!(await crypto.subtle.verify("Ed25519", verifier, signature.slice(4), utf8.encode(text)))) return undefined;
  const lines = text.split("\n");
  if (lines[0] !== `postern activity log ${name}`) return undefined;
  return { size: Number(lines[1]), root: bytes(lines[2] ?? "") };
}

/** signs tells whether a checkpoint's note is signed with its key and says what the checkpoint says. */
export async function signs(c: Checkpoint): Promise<boolean> {
  const said = await opened(c.note, c.key);
  return !!said && said.size === c.size && same(said.root, bytes(c.root));
}

/** included tells whether the record is number index of the log that the checkpoint signs. */
export async function included(leaf: string, index: number, hashes: string[], c: Checkpoint): Promise<boolean> {
  const root = await rootOf(bytes(leaf), index, c.size, hashes.map(bytes));
  return !!root && same(root, bytes(c.root)) && (await signs(c));
}
