type Page<T> = { items?: T[] | null; next?: string };

/** whole reads a list to its end, in at most so many pages; more tells that it goes on behind what was read. */
export async function whole<T>(
  page: (cursor?: string) => Promise<Page<T>>,
  most = 10,
): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let n = 0; n < most; n++) {
    const one = await page(cursor);
    items.push(...(one.items ?? []));
    if (!one.next) return { items, more: false };
    cursor = one.next;
  }
  return { items, more: true };
}
