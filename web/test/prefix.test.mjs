// Whether an address lies in a source decides whether the portal offers to move access there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { holdsAddress } = await source("prefix");

test("an address lies in its own prefix and in wider ones", () => {
  for (const [sources, address, want] of [
    [["203.0.113.7/32"], "203.0.113.7", true],
    [["203.0.113.7/32"], "203.0.113.8", false],
    [["203.0.113.0/29"], "203.0.113.7", true],
    [["203.0.113.0/29"], "203.0.113.8", false],
    [["128.0.0.0/1"], "203.0.113.7", true],
    [["128.0.0.0/1"], "127.0.0.1", false],
    [["0.0.0.0/0"], "255.255.255.255", true],
    [["0.0.0.0/0"], "::1", false],
    [["::/0"], "2001:db8::1", true],
    [["::/0"], "192.0.2.1", false],
    [["2001:db8::1/128"], "2001:db8::1", true],
    [["2001:db8::1/128"], "2001:db8:0:0:0:0:0:1", true],
    [["2001:db8::/33"], "2001:db8:7fff::1", true],
    [["2001:db8::/33"], "2001:db8:8000::1", false],
    [["192.0.2.1/32", "2001:db8::/64"], "2001:db8::ff", true],
    [["::1/128"], "::1", true],
    [["fe80::/10"], "febf::1", true],
    [["fe80::/10"], "fec0::1", false],
  ])
    assert.equal(holdsAddress(sources, address), want, `${address} in ${sources}`);
});
test("what is no address lies in nothing", () => {
  for (const address of [
    "",
    "me",
    "203.0.113",
    "203.0.113.256",
    "1.2.3.4.5",
    "2001:db8",
    "1::2::3",
    "::g",
    "1:2:3:4:5:6:7:8:9",
  ])
    assert.equal(holdsAddress(["0.0.0.0/0", "::/0"], address), false, address);
  assert.equal(holdsAddress([], "203.0.113.7"), false);
});
