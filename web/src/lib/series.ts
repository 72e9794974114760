// A request that repeats, as the form offers it: simple rhythms, counted, in the zone that the page shows.
import { later, parts } from "./wall";

const days = ["MO", "TU", "WE", "TH", "FR"];

/** rhythms is what one may choose, with as many windows as fit into the year that the server allows. */
export const rhythms = {
  daily: { name: "Every day", most: 365, rule: "FREQ=DAILY", step: 1 },
  weekdays: { name: "Every weekday, Monday to Friday", most: 260, rule: "FREQ=WEEKLY;BYDAY=" + days.join(), step: 1 },
  weekly: { name: "Every week on the same day", most: 52, rule: "FREQ=WEEKLY", step: 7 },
} as const;
export type Rhythm = keyof typeof rhythms;

/** rule is what the server is asked for. */
export const rule = (rhythm: Rhythm, times: number) => `${rhythms[rhythm].rule};COUNT=${times}`;

/** windows gives the starts that the rule stands for: the same time by the clock on each day, also when clocks change. */
export function windows(rhythm: Rhythm, first: Date, times: number, utc: boolean): Date[] {
  const found: Date[] = [];
  // Each from the first, and not from the one before: a night that leaves out the time moves that window alone.
  for (let k = 0; found.length < times; k++) {
    const at = later(first, k * rhythms[rhythm].step, utc);
    if (rhythm !== "weekdays" || parts(at, utc).weekday % 6 !== 0) found.push(at);
  }
  return found;
}
