/** kindOf says how each kind of principal is called on the pages, and where it lives. */
export const kindOf = {
  people: {
    kind: "user",
    name: "People",
    one: "person",
    title: "Add a person",
    lead: "People who can sign in. A new person has no permissions: assign a role, or add the person to a group that has one.",
  },
  groups: {
    kind: "group",
    name: "Groups",
    one: "group",
    title: "Add a group",
    lead: "Groups contain people and other groups. Members of a nested group are members of both groups and have the roles of both.",
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
