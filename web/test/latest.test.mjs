// Answers that come in another order than they were asked for, and what a rule asks for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { Latest } = await source("latest");
const { asks } = await source("asks");

test("a slower, older answer does not take the place of a newer one", () => {
  const latest = new Latest();
  const [first, second, third] = [latest.ask(), latest.ask(), latest.ask()];
  assert.equal(second(), true);
  assert.equal(first(), false);
  assert.equal(third(), true);
});
test("an answer about something else is left out", () => {
  const latest = new Latest();
  const before = latest.ask();
  latest.restart();
  const after = latest.ask();
  assert.equal(before(), false);
  assert.equal(after(), true);
});
test("what a rule asks for", () => {
  const people = { stages: [{ allOf: [{ count: 1 }] }] };
  for (const [cases, want] of [
    [undefined, { approval: "none", passkey: false }],
    [[{ stepUp: true }], { approval: "none", passkey: true }],
    [[{ stages: [], stepUp: true }], { approval: "none", passkey: true }],
    [[people], { approval: "all", passkey: false }],
    [[{ ...people, stepUp: true }, {}], { approval: "some", passkey: true }],
  ])
    assert.deepEqual(asks(cases), want);
});
