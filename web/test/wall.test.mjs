// What is typed into a field for date and time is read in the zone that the page shows, and written in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { read, write, later } = await source("wall");
const zones = ["America/Los_Angeles", "America/St_Johns", "Europe/Berlin", "Asia/Kolkata", "Pacific/Kiritimati", "UTC"];

test("a page that shows UTC takes UTC, wherever the browser is", () => {
  for (const zone of zones) {
    process.env.TZ = zone;
    assert.equal(read("2027-03-28T18:00", true).toISOString(), "2027-03-28T18:00:00.000Z", zone);
    assert.equal(write(new Date("2027-03-28T18:00:07Z"), true), "2027-03-28T18:00", zone);
    assert.equal(write(new Date("2027-03-28T18:00:07Z"), true, true), "2027-03-28T18:00:07", zone);
    assert.equal(later(new Date("2027-03-27T18:00Z"), 1, true).toISOString(), "2027-03-28T18:00:00.000Z", zone);
  }
});
test("a page that shows the browser's zone takes that", () => {
  process.env.TZ = "America/Los_Angeles";
  assert.equal(read("2027-01-28T18:00", false).toISOString(), "2027-01-29T02:00:00.000Z");
  assert.equal(write(new Date("2027-01-29T02:00:00Z"), false), "2027-01-28T18:00");
});
test("what is written is read as the same instant, in either zone", () => {
  let seed = 7;
  const pick = (n) => (seed = (seed * 48271) % 2147483647) % n; // the same each time
  for (const zone of zones) {
    process.env.TZ = zone;
    for (let n = 0; n < 2000; n++) {
      const at = new Date(Date.UTC(1990, 0, 1) + pick(60 * 365 * 24 * 60) * 60_000);
      assert.equal(read(write(at, true), true).getTime(), at.getTime(), `${zone} ${at.toISOString()}`);
      const again = read(write(at, false), false);
      // A time that comes twice is the first of the two.
      const twice = at.getTimezoneOffset() !== again.getTimezoneOffset();
      assert.equal(again.getTime(), at.getTime() - (twice ? 3600_000 : 0), `${zone} ${at.toISOString()}`);
    }
  }
});
test("an instant that says its own offset is that, and what is no date is nothing", () => {
  process.env.TZ = "Asia/Kolkata";
  for (const utc of [true, false]) {
    assert.equal(read("2027-03-28T18:00:00.000Z", utc).toISOString(), "2027-03-28T18:00:00.000Z");
    assert.equal(read("2027-03-28T18:00+02:00", utc).toISOString(), "2027-03-28T16:00:00.000Z");
    for (const none of ["", "soon", "2027-02-31T99:00"]) assert.equal(read(none, utc), undefined, none);
  }
});
