// The portal shows a state by the API's own word, so that it is found again in the command line, the mail and the log.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { source } from "./source.mjs";

const { came, stateName, requestStates } = await source("states");
const yaml = createRequire(import.meta.url)("js-yaml");
const { schemas } = yaml.load(readFileSync(new URL("../../api/openapi.yaml", import.meta.url), "utf8")).components;

test("each state has its own name", () => {
  for (const of of [
    schemas.Request.properties.state,
    schemas.Grant.properties.state,
    schemas.Event.properties.outcome,
  ]) {
    assert.ok(of.enum.length > 2);
    for (const state of of.enum) assert.equal(stateName(state).replaceAll(" ", "").toLowerCase(), state.toLowerCase());
  }
  assert.equal(stateName("timedOut"), "Timed out");
  assert.equal(stateName("inPart"), "Active in part"); // as the command line says it
});
test("a request is looked for by each of its states", () => {
  assert.deepEqual([...requestStates].sort(), [...schemas.Request.properties.state.enum].sort());
});

test("an approved request whose grants have ended says so", () => {
  const of = (...states) => came({ state: "approved", grants: states.map((state) => ({ state })) });
  assert.equal(of("expired", "revoked"), "ended");
  assert.equal(of("expired", "active"), "open");
  assert.equal(of("scheduled", "expired"), "scheduled");
  assert.equal(of("failed", "expired"), "failed");
  assert.equal(of(), "");
  assert.equal(came({ state: "denied", grants: [{ state: "expired" }] }), "");
});
