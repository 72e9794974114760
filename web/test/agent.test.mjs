// What an agent said last counts while it is heard of, and a revision that is yet to come is not in force.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { agentState } = await source("agent");
const now = new Date("2027-01-01T12:00:00Z");
const seen = (seconds) => new Date(now.getTime() - seconds * 1000).toISOString();

test("how an agent stands", () => {
  for (const [agent, want] of [
    [{ revision: 0, reported: 0 }, "never"],
    [{ revision: 3, reported: 3, lastSeenAt: seen(5) }, "inForce"],
    [{ revision: 0, reported: 0, lastSeenAt: seen(5) }, "nothing"],
    [{ revision: 4, reported: 3, lastSeenAt: seen(5) }, "changing"],
    [{ revision: 3, reported: 9, lastSeenAt: seen(5) }, "changing"],
    [{ revision: 3, reported: 3, lastSeenAt: seen(5), problem: "no nftables" }, "problem"],
    [{ revision: 3, reported: 3, lastSeenAt: seen(120) }, "silent"],
    [{ revision: 3, reported: 3, lastSeenAt: seen(86_400), problem: "no nftables" }, "silent"],
  ])
    assert.equal(agentState(agent, now), want, JSON.stringify(agent));
});
