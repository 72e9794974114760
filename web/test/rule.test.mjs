// What the form makes of an approval rule decides as the rule did; a rule that it cannot hold stays as it was written.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { read, condition } = await source("rule");
const ports = [{ ports: "22" }, { ports: "5432" }, { ports: "8000-8010", protocol: "any" }];
const stages = (count, group = "ops") => [{ allOf: [{ count, groups: [group] }] }];
const whole = { name: "Everything else opens at once" };

test("a passkey that is asked for where nobody approves stays", () => {
  assert.ok("own" in read(ports, [{ stepUp: true }]));
  assert.ok(
    "own" in
      read(ports, [
        { when: condition(ports[0]), stages: stages(1), stepUp: true },
        { ...whole, stepUp: true },
      ]),
  );
});
test("a port that no case is for is not opened at once", () => {
  assert.ok("own" in read(ports, [{ when: condition(ports[0]), stages: stages(1) }]));
});
test("the first case that a port falls under decides", () => {
  assert.deepEqual(read(ports, [{ when: condition(ports[0]) }, { stages: stages(2) }]), {
    counts: [0, 2, 2],
    approvers: ["ops"],
    stepUp: false,
  });
});
test("any rule is kept, or read as it decides", () => {
  let seed = 1;
  const pick = (n) => (seed = (seed * 48271) % 2147483647) % n; // the same each time
  let held = 0;
  for (let n = 0; n < 20000; n++) {
    const cases = Array.from({ length: pick(4) }, () => ({
      when: pick(3)
        ? ports
            .filter(() => pick(2))
            .map(condition)
            .join(" || ") || undefined
        : undefined,
      stages: pick(3) ? stages(1 + pick(2), pick(5) ? "ops" : "others") : undefined,
      stepUp: pick(4) ? undefined : true,
    }));
    const rule = read(ports, cases);
    if ("own" in rule) {
      assert.deepEqual(rule.own, cases);
      continue;
    }
    held++;
    ports.forEach((p, i) => {
      const c = cases.find((one) => !one.when || one.when.split(" || ").includes(condition(p)));
      assert.ok(c || !cases.length, "a port that is refused opens");
      const quorum = c?.stages?.[0].allOf[0];
      assert.equal(rule.counts[i], quorum?.count ?? 0);
      if (quorum) assert.deepEqual([rule.approvers, rule.stepUp], [quorum.groups, c.stepUp ?? false]);
      else assert.ok(!c?.stepUp, "a passkey is no longer asked for");
    });
  }
  assert.ok(held > 1000, `${held} were held`);
});
