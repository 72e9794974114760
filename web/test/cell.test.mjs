// The portal's CSV has the server's rule for cells, by the same examples.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { source } from "./source.mjs";

const { cell, field } = await source("cell");
const { quoted, plain } = JSON.parse(
  readFileSync(new URL("../../internal/core/audit/testdata/cells.json", import.meta.url), "utf8"),
);

test("what a spreadsheet could run has a quote before it", () => {
  for (const text of quoted) assert.equal(cell(text), "'" + text);
});
test("what it could not stays", () => {
  for (const text of plain) assert.equal(cell(text), text);
});
test("what lies behind half a character counts too", () => assert.equal(cell("\ud800=1"), "'\ud800=1"));
test("a field is quoted, and its quotes doubled", () => {
  assert.equal(field('say "=1"'), '"say ""=1"""');
  assert.equal(field({ a: "=1" }), '"{""a"":""=1""}"');
  assert.equal(field(undefined), '""');
  assert.equal(field(-12), '"-12"');
});
