// The browser's verifier judges the server's own proofs as the server does, and takes none that was changed anywhere.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { source } from "./source.mjs";

const { bytes, continues, included, opened, signs } = await source("proof");
const vectors = JSON.parse(
  readFileSync(new URL("../../internal/core/audit/testdata/proofs.json", import.meta.url), "utf8"),
);
const { Key: key, Checkpoints, Inclusions, Consistency } = vectors;
const checkpoint = (size) => {
  const { Root: root, Note: note } = Checkpoints.find((c) => c.Size === size);
  return { size, root, note, key };
};
const root = (size) => bytes(checkpoint(size).root);
/** bent is base64 of which one bit of one byte is another. */
const bent = (base64, at = 0) => {
  const raw = Buffer.from(base64, "base64");
  raw[at % raw.length] ^= 1;
  return raw.toString("base64");
};

test("each checkpoint is signed", async () => {
  for (const { Size } of Checkpoints) assert.ok(await signs(checkpoint(Size)), `${Size}`);
});
test("a checkpoint that says something else is not", async () => {
  const c = checkpoint(13);
  assert.ok(!(await signs({ ...c, size: 12 })));
  assert.ok(!(await signs({ ...c, root: bent(c.root) })));
  assert.ok(!(await signs({ ...c, note: c.note.replace("\n13\n", "\n14\n") })));
  assert.ok(!(await signs({ ...c, note: checkpoint(8).note })));
  assert.equal(await opened(c.note, key.replace("vectors", "another")), undefined);
  const [name, hash, ...raw] = key.split("+");
  assert.equal(await opened(c.note, [name, hash, bent(raw.join("+"), 5)].join("+")), undefined);
});
test("each record is in the log", async () => {
  for (const p of Inclusions)
    assert.ok(await included(p.Record, p.Index, p.Hashes, checkpoint(p.Size)), `${p.Index} of ${p.Size}`);
});
test("another record, place, size or hash is not", async () => {
  for (const p of Inclusions) {
    const where = `${p.Index} of ${p.Size}`;
    const c = checkpoint(p.Size);
    assert.ok(!(await included(bent(p.Record, 3), p.Index, p.Hashes, c)), where);
    assert.ok(!(await included(p.Record, p.Index + 1, p.Hashes, c)), where);
    assert.ok(!(await included(p.Record, p.Index, [...p.Hashes, p.Record], c)), where);
    if (p.Index) assert.ok(!(await included(p.Record, p.Index - 1, p.Hashes, c)), where);
    for (let i = 0; i < p.Hashes.length; i++) {
      assert.ok(!(await included(p.Record, p.Index, p.Hashes.with(i, bent(p.Hashes[i], i)), c)), where);
      assert.ok(!(await included(p.Record, p.Index, p.Hashes.toSpliced(i, 1), c)), where);
    }
  }
});
test("each log begins with the smaller ones", async () => {
  for (const p of Consistency)
    assert.ok(await continues(p.From, root(p.From), p.To, root(p.To), p.Hashes.map(bytes)), `${p.From} of ${p.To}`);
});
test("a log that was changed does not", async () => {
  for (const p of Consistency) {
    const where = `${p.From} of ${p.To}`;
    const all = p.Hashes.map(bytes);
    assert.ok(!(await continues(p.From, bytes(bent(checkpoint(p.From).root)), p.To, root(p.To), all)), where);
    assert.ok(!(await continues(p.From, root(p.From), p.To, bytes(bent(checkpoint(p.To).root)), all)), where);
    for (let i = 0; i < all.length; i++) {
      assert.ok(
        !(await continues(p.From, root(p.From), p.To, root(p.To), all.with(i, bytes(bent(p.Hashes[i]))))),
        where,
      );
      assert.ok(!(await continues(p.From, root(p.From), p.To, root(p.To), all.toSpliced(i, 1))), where);
    }
  }
});
