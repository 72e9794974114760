/** What the server knows of an agent. */
type Agent = { lastSeenAt?: string; problem?: string; revision: number; reported: number };

/**
 * How long an agent may say nothing before it counts as silent, in milliseconds: two of its reports are missing then.
 */
const patience = 90_000;

/** silent tells whether an agent has not been heard of for so long that what it said last no longer tells how it is. */
export const silent = (a: Agent, now: Date) => !a.lastSeenAt || now.getTime() - Date.parse(a.lastSeenAt) > patience;

/**
 * agentState is how an agent stands: what it said last counts while it is heard of. In force is what it reported alone:
 * after a restore of the server it may have reported a revision that is yet to come, which says nothing of the present
 * one.
 */
export function agentState(a: Agent, now: Date): "never" | "silent" | "problem" | "nothing" | "changing" | "inForce" {
  if (!a.lastSeenAt) return "never";
  if (silent(a, now)) return "silent";
  if (a.problem) return "problem";
  if (!a.revision) return "nothing";
  return a.reported === a.revision ? "inForce" : "changing";
}
