// The days of a series that the form shows are the server's, also through nights in which clocks are set.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./source.mjs";

const { windows } = await source("series");
const clocks = (zone, rhythm, first, times) => {
  process.env.TZ = zone;
  return windows(rhythm, new Date(...first), times, false).map(
    (at) => `${at.getDate()} ${at.toTimeString().slice(0, 5)}`,
  );
};

test("a night that leaves the time out moves its own window alone", () => {
  assert.deepEqual(clocks("Europe/Berlin", "daily", [2027, 2, 27, 2, 30], 4), [
    "27 02:30",
    "28 03:30",
    "29 02:30",
    "30 02:30",
  ]);
  assert.deepEqual(clocks("Europe/Berlin", "weekly", [2027, 2, 21, 2, 30], 3), ["21 02:30", "28 03:30", "4 02:30"]);
  assert.deepEqual(clocks("America/New_York", "daily", [2027, 2, 13, 2, 15], 3), ["13 02:15", "14 03:15", "15 02:15"]);
});
test("a time that comes twice is the first", () => {
  process.env.TZ = "Europe/Berlin";
  assert.deepEqual(
    windows("daily", new Date(2027, 9, 30, 2, 30), 3, false).map((at) => at.toISOString()),
    ["2027-10-30T00:30:00.000Z", "2027-10-31T00:30:00.000Z", "2027-11-01T01:30:00.000Z"],
  );
});
test("a page that shows UTC counts days in UTC", () => {
  process.env.TZ = "Asia/Tokyo"; // where it is Saturday already
  assert.deepEqual(
    windows("weekdays", new Date("2027-03-26T23:30:00Z"), 2, true).map((at) => at.toISOString()),
    ["2027-03-26T23:30:00.000Z", "2027-03-29T23:30:00.000Z"],
  );
});
test("weekdays pass over the weekend", () => {
  assert.deepEqual(clocks("Asia/Tokyo", "weekdays", [2027, 2, 26, 9, 0], 3), ["26 09:00", "29 09:00", "30 09:00"]);
});
