// What a wall clock says: dates and times by the day and the hour, as people type and read them, in one of the two zones
// that the pages show. A time that a night leaves out is the one as long after midnight, and one that comes twice is the
// first, as for the server.

const two = (n: number, size = 2) => String(n).padStart(size, "0");

/**
 * read gives the instant for which a field for date and time stands, such as 2027-03-27T02:30; undefined where it is
 * none. What says its own offset, as the addresses of pages do, needs no zone.
 */
export function read(text: string, utc: boolean): Date | undefined {
  const own = /(Z|[+-]\d\d:?\d\d)$/.test(text);
  const at = new Date(own || !utc ? text : text + "Z");
  return text && !isNaN(at.getTime()) ? at : undefined;
}

/** write is an instant as such a field takes it. */
export function write(at: Date, utc: boolean, seconds = false): string {
  const { year, month, day, hour, minute, second } = parts(at, utc);
  return `${two(year, 4)}-${two(month + 1)}-${two(day)}T${two(hour)}:${two(minute)}${seconds ? ":" + two(second) : ""}`;
}

/** parts is what calendar and clock say. */
export function parts(at: Date, utc: boolean) {
  return utc
    ? {
        year: at.getUTCFullYear(),
        month: at.getUTCMonth(),
        day: at.getUTCDate(),
        weekday: at.getUTCDay(),
        hour: at.getUTCHours(),
        minute: at.getUTCMinutes(),
        second: at.getUTCSeconds(),
      }
    : {
        year: at.getFullYear(),
        month: at.getMonth(),
        day: at.getDate(),
        weekday: at.getDay(),
        hour: at.getHours(),
        minute: at.getMinutes(),
        second: at.getSeconds(),
      };
}

/** later is the same time by the clock on a later day. */
export function later(at: Date, days: number, utc: boolean): Date {
  const moved = new Date(at);
  if (utc) moved.setUTCDate(moved.getUTCDate() + days);
  else moved.setDate(moved.getDate() + days);
  return moved;
}
