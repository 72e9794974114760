// What is typed into a form is put together as the server reads it, without what is hidden, and no secret is kept.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { asShown, inWords, nested, part, partsShown, tagLines, tagsOf, withFirsts, withoutSecrets, withPart } =
  await source("form");

const parts = [
  { path: "kind", label: "Kind", kind: "choice", choices: ["none", "new"] },
  { path: "name", label: "Name", kind: "text", when: "kind", is: ["new"] },
  { path: "password", label: "Password", kind: "secret", when: "kind", is: ["new"] },
  { path: "subnets.web.name", label: "Web", kind: "text" },
];

test("answers lie where the server reads them", () => {
  assert.deepEqual(nested({ "basics.a": 1, "steps.s.b": "x", "steps.s.in.c": true }), {
    basics: { a: 1 },
    steps: { s: { b: "x", in: { c: true } } },
  });
});

test("what is deployed is what was shown, and nothing that is hidden", () => {
  const fields = [
    { path: "basics.a", kind: "text", value: "usual" },
    { path: "basics.b", kind: "section", fields: [{ path: "basics.b.c", kind: "text" }] },
    { path: "basics.n", kind: "note", value: "no answer" },
    { path: "basics.e", kind: "text", value: "usual" },
  ];
  const answers = { "basics.b.c": "given", "basics.gone": "hidden", "basics.e": "" };
  assert.deepEqual(asShown(answers, { steps: [{ name: "", fields }] }), {
    "basics.a": "usual",
    "basics.b.c": "given",
    "basics.e": "",
  });
});

test("parts make an object, and what does not count is not in it", () => {
  const made = withPart(withPart({}, "subnets.web.name", "w"), "kind", "new");
  assert.deepEqual(made, { subnets: { web: { name: "w" } }, kind: "new" });
  assert.equal(part(made, "subnets.web.name"), "w");
  assert.deepEqual(withPart(made, "subnets.web.name", ""), { kind: "new" });
  assert.deepEqual(
    partsShown(parts, undefined).map((p) => p.path),
    ["kind", "subnets.web.name"],
  );
  assert.deepEqual(withFirsts(parts, { name: "old" }), { kind: "none" });
});

test("no secret is kept or shown", () => {
  assert.equal(withoutSecrets({ kind: "secret" }, "hunter2"), undefined);
  assert.deepEqual(withoutSecrets({ kind: "parts", parts }, { kind: "new", password: "hunter2" }), { kind: "new" });
  const grid = {
    kind: "grid",
    fields: [
      { name: "a", kind: "secret" },
      { name: "b", kind: "text" },
    ],
  };
  assert.deepEqual(withoutSecrets(grid, [{ a: "hunter2", b: "x" }]), [{ b: "x" }]);
  for (const [f, v] of [
    [{ kind: "secret" }, "hunter2"],
    [
      { kind: "parts", parts },
      { kind: "new", password: "hunter2" },
    ],
  ])
    assert.ok(!inWords(f, v).includes("hunter2"));
});

test("tags are read and written a line each", () => {
  const tags = tagsOf("Department = Finance\n\n a=b=c ", ["x/y", "x/z"]);
  assert.deepEqual(tags, { "x/y": { Department: "Finance", a: "b=c" }, "x/z": { Department: "Finance", a: "b=c" } });
  assert.equal(tagLines(tags), "Department = Finance\na = b=c");
  assert.equal(tagsOf(" \n", ["x/y"]), undefined);
});
