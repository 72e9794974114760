/** bare is a source as people write it: a single address without the length of its prefix. */
export const bare = (source: string) => source.replace(source.includes(":") ? /\/128$/ : /\/32$/, "");

/** some names the first few of a list, and how many more there are. */
export function some(names: string[], most = 3): string {
  if (names.length <= most) return names.join(", ");
  return `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}

/** count is a number with its noun: 1 machine, 1,200 machines. */
export const count = (n: number, one: string, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** unique gives each value once, in the order of its first coming. */
export const unique = <T>(values: T[]) => [...new Set(values)];
