// What an update of a managed application changes is said whole, as the command line says it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { updates } = await source("update");
const given = (role, maxSeconds, principalId = "v") => ({
  principal: "vendors",
  principalId,
  kind: "group",
  role,
  maxSeconds,
});
const application = {
  lockLevel: "ReadOnly",
  settings: { jit: true },
  authorizations: [given("Contributor", 3600), given("Reader")],
  jit: { available: true, maxSeconds: 7200 },
};
const definition = { lockLevel: "ReadOnly", authorizations: application.authorizations, jit: application.jit };
const activate = " for the group vendors, to activate, as your settings allow, for at most ";
const said = (was, now) =>
  updates({ ...application, ...was }, { ...definition, ...now }).map((c) => `${c.verb} ${c.text}${c.grave ? "!" : ""}`);

test("nothing", () => assert.deepEqual(said({}, {}), []));
test("another role, and less of a lock", () => {
  assert.deepEqual(
    said(
      {},
      {
        authorizations: [given("Owner"), given("Reader")],
        lockLevel: "None",
        allowedActions: ["*/delete"],
        allowedDataActions: ["*"],
      },
    ),
    [
      `Gives Owner${activate}2 h`,
      `Removes Contributor${activate}1 h`,
      "Changes what the lock on the managed resource group prevents from every change to nothing",
      "Changes the actions that the lock allows from none to */delete",
      "Changes the data actions that the lock allows from none to *",
    ],
  );
});
test("longer", () => {
  assert.deepEqual(said({}, { jit: { available: true, maxSeconds: 10800 } }), [
    `Gives Reader${activate}3 h`,
    `Removes Reader${activate}2 h`,
    "Changes just-in-time access from offered, at most 2 h to offered, at most 3 h",
  ]);
});
test("permanently is grave", () => {
  assert.deepEqual(said({ settings: { jit: false }, authorizations: null }, { authorizations: [given("Owner")] }), [
    "Gives Owner for the group vendors, permanently!",
  ]);
});
test("another holder of the same name is another", () => {
  assert.deepEqual(said({ authorizations: [given("Reader")] }, { authorizations: [given("Reader", undefined, "w")] }), [
    `Gives Reader${activate}2 h`,
    `Removes Reader${activate}2 h`,
  ]);
});
test("a publisher without access gets it", () => {
  assert.deepEqual(said({ unmanaged: true }, {}), [`Gives Contributor${activate}1 h`, `Gives Reader${activate}2 h`]);
});
