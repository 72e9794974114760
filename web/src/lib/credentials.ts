import type { components } from "./openapi";
import { count } from "./text";

export type Credentials = components["schemas"]["Credentials"];
export type Kind = "session" | "token" | "passkey" | "secret";

/** One is a credential of any kind, as its row says it. */
export type One = {
  id: string;
  kind: Kind;
  name: string;
  current: boolean;
  since: string;
  used?: string;
  from?: string;
  ends?: string;
};

// What the server makes of the programs that people sign in with; another says itself what it is.
const clients: Record<string, string> = { browser: "Browser", postern: "Command line", "": "Unnamed program" };

/** credentials gives all that lets somebody in, the newest first within each kind. */
export function credentials(set: Credentials): One[] {
  const newest = (a: One, b: One) => b.since.localeCompare(a.since);
  return [
    ...set.sessions
      .map((s): One => ({
        id: s.id,
        kind: "session",
        name: clients[s.client ?? ""] ?? s.client!,
        current: !!s.current,
        since: s.createdAt,
        used: s.usedAt,
        from: s.address,
        ends: s.expiresAt,
      }))
      .sort((a, b) => Number(b.current) - Number(a.current) || newest(a, b)),
    ...set.tokens
      .map((t): One => ({
        id: t.id,
        kind: "token",
        name: t.name,
        current: false,
        since: t.createdAt,
        ends: t.expiresAt,
      }))
      .sort(newest),
    ...set.passkeys
      .map((k): One => ({
        id: k.id,
        kind: "passkey",
        name: k.name,
        current: false,
        since: k.createdAt,
        used: k.usedAt,
      }))
      .sort(newest),
    ...set.secrets
      .map((s): One => ({
        id: s.id,
        kind: "secret",
        name: s.name || s.id,
        current: false,
        since: s.createdAt,
        ends: s.expiresAt,
      }))
      .sort(newest),
  ];
}

/** kindNames is how one of each kind is called. */
export const kindNames: Record<Kind, string> = {
  session: "Session",
  token: "API token",
  passkey: "Passkey",
  secret: "Secret or certificate",
};

const counted: Record<Kind, [string, string?]> = {
  session: ["session"],
  token: ["API token"],
  passkey: ["passkey"],
  secret: ["secret or certificate", "secrets and certificates"],
};

/** sum counts credentials by kind, in words: 2 sessions, 1 API token and 1 passkey; empty where there are none. */
export function sum(all: One[]): string {
  const parts = (Object.keys(counted) as Kind[])
    .map((k) => ({ k, n: all.filter((c) => c.kind === k).length }))
    .filter(({ n }) => n)
    .map(({ k, n }) => count(n, ...counted[k]));
  return parts.length > 1 ? parts.slice(0, -1).join(", ") + " and " + parts.at(-1) : (parts[0] ?? "");
}
