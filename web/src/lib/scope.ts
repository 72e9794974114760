import { subscriptions } from "./session.svelte";

/** place says where a scope is, as people do: everywhere, the name of a machine, a group or a subscription. */
export function place(scope: string): string {
  if (scope === "/" || scope === "") return "everywhere";
  const parts = scope.split("/").filter(Boolean);
  const last = parts.at(-1) ?? "";
  // One whose name is not known has the end of its id, as the command line shows it: the beginning is alike for many.
  if (parts.length === 2) return `subscription ${subscriptions[last.toLowerCase()] ?? "…" + last.slice(-8)}`;
  return parts.length === 4 ? `resource group ${last}` : last;
}

type Thing = { role?: { name: string; scope: string }; machine?: string; protocol?: string; ports?: string };

/** what names what a request or a grant is about: a port of a machine, or a role at a place. */
export const what = (t: Thing) =>
  t.role ? `${t.role.name}, ${place(t.role.scope)}` : `${t.machine} ${t.protocol}/${t.ports}`;
