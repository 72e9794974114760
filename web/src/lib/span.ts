// Lengths of time, in words.

/** span is a length of time in words: 45 s, 12 min, 1 h 5 min, 2 d 3 h. */
export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 48) return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
  return h % 24 ? `${Math.floor(h / 24)} d ${h % 24} h` : `${h / 24} d`;
}

/** countdown is what is left, to the second below an hour: 12:05. */
export function countdown(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s >= 3600) return span(s);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

/** ago is how long since, in words. */
export function ago(at: Date, now: Date): string {
  const s = (now.getTime() - at.getTime()) / 1000;
  return s < 5 ? "just now" : span(s) + " ago";
}
