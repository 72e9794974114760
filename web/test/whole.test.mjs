// A list is read to its end, and what was not read is not taken for the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { whole } = await source("whole");
const pages = (n) => async (cursor) => {
  const k = Number(cursor ?? 0);
  return { items: [2 * k, 2 * k + 1], next: k + 1 < n ? String(k + 1) : undefined };
};

test("every page is read, and each once", async () => {
  assert.deepEqual(await whole(pages(3)), { items: [0, 1, 2, 3, 4, 5], more: false });
  assert.deepEqual(await whole(async () => ({ items: null })), { items: [], more: false });
});
test("a list that goes on says so", async () => {
  assert.deepEqual(await whole(pages(4), 3), { items: [0, 1, 2, 3, 4, 5], more: true });
  assert.deepEqual(await whole(pages(3), 3), { items: [0, 1, 2, 3, 4, 5], more: false });
});
