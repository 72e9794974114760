import all from "virtual:kinds";

/** kinds is what the activity log tells of, by what it is about. */
export const kinds: Record<string, string[]> = {};
for (const k of all) (kinds[k.slice(0, k.indexOf("."))] ??= []).push(k);

/** inWords says a kind as people do: grant.timedOut is "Grant timed out". */
export function inWords(kind: string): string {
  const text = kind.replace(".", " ").replace(/([A-Z])/g, (c) => " " + c.toLowerCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}
