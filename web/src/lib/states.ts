import type { components } from "./openapi";

type Schemas = components["schemas"];
type State = Schemas["Request"]["state"] | Schemas["Grant"]["state"] | Schemas["Event"]["outcome"];

/** Shown is a state as a pill shows it: one of the server's, or an active grant of which a part is not in force. */
export type Shown = State | "inPart";

/** stateName is a state by its one name, which API, command line, mail and log have as well: timedOut is "Timed out". */
export function stateName(state: Shown): string {
  if (state === "inPart") return "Active in part";
  const text = state.replace(/([A-Z])/g, (c) => " " + c.toLowerCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * came is what became of an approved request: approved says nothing of a port that closed long ago.
 */
export function came(r: { state: string; grants?: { state: string }[] | null }): string {
  if (r.state !== "approved" || !r.grants?.length) return "";
  const any = (...states: string[]) => r.grants?.some((g) => states.includes(g.state));
  return any("active", "opening") ? "open" : any("scheduled") ? "scheduled" : any("failed") ? "failed" : "ended";
}

/** requestStates are the states of a request, in the order in which they follow. */
export const requestStates = ["pending", "approved", "denied", "canceled", "timedOut"] as const satisfies State[];
