/** octets are the bytes of an address, 4 or 16; undefined where the text is none. */
function octets(text: string): number[] | undefined {
  if (!text.includes(":")) {
    const parts = text.split(".");
    const bytes = parts.map(Number);
    return parts.length === 4 && parts.every((p, i) => /^\d{1,3}$/.test(p) && (bytes[i] ?? 256) < 256)
      ? bytes
      : undefined;
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head = [], rest = []] = halves.map((half) => (half ? half.split(":") : []));
  const missing = 8 - head.length - rest.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const words = [...head, ...Array<string>(halves.length === 1 ? 0 : missing).fill("0"), ...rest];
  if (!words.every((w) => /^[0-9a-f]{1,4}$/i.test(w))) return undefined;
  return words.flatMap((w) => [parseInt(w, 16) >> 8, parseInt(w, 16) & 255]);
}

/**
 * holdsAddress tells whether an address lies in one of the sources, as the server writes both: in canonical form, and never
 * IPv4 as IPv6. What is no address lies in none.
 */
export function holdsAddress(sources: string[], address: string): boolean {
  const wanted = octets(address);
  return (
    !!wanted &&
    sources.some((source) => {
      const [base = "", bits = ""] = source.split("/");
      const prefix = octets(base);
      const length = Number(bits);
      return (
        prefix?.length === wanted.length &&
        prefix.every((byte, i) => {
          const mask = 255 & (-1 << (8 - Math.min(8, Math.max(0, length - 8 * i))));
          return (byte & mask) === ((wanted[i] ?? 0) & mask);
        })
      );
    })
  );
}
