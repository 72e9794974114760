import { api, ask, unattended } from "./api";

/** inbox is how much there is that the viewer has not read; the bell loads it, and whatever shows entries reads them. */
export const inbox = $state({ count: 0 });

export type Told = NonNullable<Awaited<ReturnType<typeof told>>["items"]>[number];

export const told = (limit: number, cursor?: string) =>
  ask(api.GET("/api/v1/notifications", { params: { query: { limit, cursor: cursor || undefined } } }));

/** read notes that the viewer has read up to the newest of what they are shown, unless nobody is there to see it. */
export async function read(shown: Told[]) {
  const newest = shown.find((n) => n.unread)?.seq;
  if (!newest || unattended()) return;
  await ask(api.POST("/api/v1/notifications/read", { body: { seq: newest } }));
  inbox.count = 0;
}

/** about are the kinds of thing that entries are about, by the first words of the activity log. */
export const about = ["request", "decision", "grant", "breakGlass", "principal", "session"];
