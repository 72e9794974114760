import { parts } from "./wall";
import { zone } from "./zone.svelte";

type Form = "short" | "day" | "year" | "full" | "date";
const forms: Record<Form, Intl.DateTimeFormatOptions> = {
  short: { hour: "2-digit", minute: "2-digit" },
  day: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  year: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
  full: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" },
  date: { weekday: "short", day: "numeric", month: "short" },
};
const made = new Map<string, Intl.DateTimeFormat>();

/** write puts an instant down in the zone that the viewer chose. */
function write(at: Date, form: Form): string {
  const key = form + zone.utc;
  let format = made.get(key);
  if (!format)
    made.set(
      key,
      (format = new Intl.DateTimeFormat(undefined, { ...forms[form], timeZone: zone.utc ? "UTC" : undefined })),
    );
  return format.format(at);
}

/** clock is an instant in the viewer's zone: the time alone today, with the day otherwise. */
export function clock(at: Date, now: Date): string {
  if (zone.write(at).slice(0, 10) === zone.write(now).slice(0, 10)) return write(at, "short");
  return write(at, parts(at, zone.utc).year === parts(now, zone.utc).year ? "day" : "year");
}

/** dates names the days of instants: all of a few, otherwise the first ones and the last. */
export function dates(all: Date[], most = 5): string {
  const named = (some: Date[]) => some.map((at) => write(at, "date")).join("; ");
  return all.length <= most ? named(all) : `${named(all.slice(0, most - 1))} … the last ${named(all.slice(-1))}`;
}

/** exact is an instant in the viewer's zone, to the second. */
export const exact = (at: Date) => write(at, "full");

/** utc is an instant for a title attribute. */
export const utc = (at: Date) =>
  at
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, " UTC");

/** offset is how far the viewer's own zone is from UTC at an instant, such as UTC+1. */
export function offset(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  if (!minutes) return "UTC";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(size / 60)}${size % 60 ? ":" + String(size % 60).padStart(2, "0") : ""}`;
}
