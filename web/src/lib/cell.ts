/**
 * cell makes text inert for spreadsheets, by the rule of the server's own CSV (internal/core/audit): what could be
 * taken for a formula has a quote before it, also behind spaces, line breaks and signs without a width; and so has what
 * begins with a quote.
 */
export function cell(text: string): string {
  if (text.startsWith("'")) return "'" + text;
  const rest = text.replace(/^[\p{White_Space}\p{Cc}\p{Cf}\p{Zs}\p{Cs}\uFFFD]+/u, "");
  const number = /^-?\+?(?=.)\d*\.?\d*$/.test(rest);
  return rest !== text || (/^[=+\-@＝＋－＠﹦﹢﹣﹫−]/.test(rest) && !number) ? "'" + text : text;
}

/** field is a value as a field of CSV. */
export function field(value: unknown): string {
  const text = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "");
  return `"${cell(text).replaceAll('"', '""')}"`;
}
