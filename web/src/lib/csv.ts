import { api, ask, type Event } from "./api";
import { field } from "./cell";

const columns = [
  "seq",
  "at",
  "kind",
  "outcome",
  "actor",
  "address",
  "via",
  "machine",
  "request",
  "grant",
  "action",
  "scope",
  "details",
] as const;
export const mostRows = 10_000;

export type Query = {
  since?: string;
  before?: string;
  kind?: string;
  actor?: string;
  machine?: string;
  outcome?: "succeeded" | "refused" | "failed";
};

/**
 * csv gives the records that a query finds, the newest first, at most mostRows; progress is told how many there are
 * yet.
 */
export async function csv(query: Query, progress: (rows: number) => void): Promise<Blob> {
  const lines = [columns.join(",")];
  let cursor: string | undefined;
  do {
    const page = await ask(api.GET("/api/v1/events", { params: { query: { ...query, limit: 1000, cursor } } }));
    for (const e of page.items ?? []) lines.push(columns.map((c) => field((e as Event)[c])).join(","));
    cursor = page.next;
    progress(lines.length - 1);
  } while (cursor && lines.length <= mostRows);
  return new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" });
}
