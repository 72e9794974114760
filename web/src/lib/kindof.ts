/** kindOf says how each kind of principal is called on the pages, and where it lives. */
export const kindOf = {
  people: {
    kind: "user",
    name: "People",
    one: "person",
    title: "Add a person",
    lead: "Who may sign in. A new person may do nothing yet: give them a role, or put them into a group that has one.",
  },
  groups: {
    kind: "group",
    name: "Groups",
    one: "group",
    title: "Add a group",
    lead: "People and other groups. Who is in a group within a group is in both, and has the roles of both.",
  },
  programs: {
    kind: "servicePrincipal",
    name: "Service principals",
    one: "service principal",
    title: "Add a service principal",
    lead: "Programs that sign in with a secret or a certificate of their own.",
  },
} as const;
export type Family = keyof typeof kindOf;

/** pathOf gives the page of a principal. */
export function pathOf(kind: string, name: string): string {
  const family = kind === "group" ? "groups" : kind === "servicePrincipal" ? "programs" : "people";
  return `/settings/${family}/${encodeURIComponent(name)}`;
}
