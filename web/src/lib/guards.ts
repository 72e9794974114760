import type { Policy, PortRule } from "./api";

/** Guarding is a rule for ports of a machine, with the policy that has it. */
export type Guarding = PortRule & { policy: Policy };

/** guarding gives what guards a machine, port by port: of each port one policy applies as a whole. */
export const guarding = (p: Policy): Guarding[] =>
  [p, ...(p.others ?? [])].flatMap((policy) => policy.ports.map((rule) => ({ ...rule, policy })));

/** ends gives the first and the last of a port or a range. */
const ends = (ports: string) => {
  const [first = "", last = first] = ports.split("-");
  return [Number(first), Number(last)] as const;
};

/** holds tells whether a rule has all the ports of something else. */
export function holds(rule: PortRule, of: { ports: string; protocol?: string }): boolean {
  const [first, last] = ends(rule.ports);
  const [from, to] = ends(of.ports);
  return (
    first <= from && to <= last && (rule.protocol === "any" || (rule.protocol ?? "tcp") === (of.protocol ?? "tcp"))
  );
}

/** origin says which policy a rule is of, where it is not the machine's own. */
export const origin = (p: Policy) => (p.reach ? `from the policy ${p.name}, by ${p.reach}` : "");
