import type { Policy, PortRule } from "./api";

export type Case = NonNullable<Policy["approval"]>[number];

/** Rule is how many people approve a port, and who may; what the form does not know stays as it was written. */
export type Rule = { counts: number[]; approvers: string[]; stepUp: boolean } | { own: Case[] };

/** condition holds for requests within a port rule. */
export function condition(p: PortRule): string {
  const [first, last = first] = p.ports.trim().split("-");
  const protocol = p.protocol === "any" ? "" : ` && request.protocol == "${p.protocol ?? "tcp"}"`;
  return `(request.firstPort >= ${first} && request.lastPort <= ${last}${protocol})`;
}

/** read finds how many approve each port; a rule that this form did not write is given as it is. */
export function read(ports: PortRule[], cases: Case[] | undefined): Rule {
  const own = { own: cases ?? [] };
  const counts = new Map<number, number>(); // by the place of the port; the first case that a port falls under decides
  let approvers: string[] = [];
  let stepUp: boolean | undefined;
  for (const c of cases ?? []) {
    const stage = c.stages?.[0];
    const quorum = stage?.allOf?.[0];
    if (
      c.hours ||
      c.denies ||
      (c.stages?.length ?? 0) > 1 ||
      (stage && (stage.allOf?.length !== 1 || stage.anyOf?.length || stage.timeoutSeconds))
    )
      return own;
    const wanted = c.when ? c.when.split(" || ") : ports.map(condition);
    for (const one of wanted) {
      const at = ports.findIndex((p, i) => condition(p) === one && !counts.has(i));
      if (at < 0 && c.when) return own;
      if (at >= 0) counts.set(at, quorum?.count ?? 0);
    }
    if (!quorum) {
      if (c.stepUp) return own;
      continue;
    }
    const names = [...(quorum.groups ?? []), ...(quorum.people ?? [])];
    if (approvers.length && approvers.join() !== names.join()) return own;
    approvers = names;
    if (stepUp !== undefined && stepUp !== (c.stepUp ?? false)) return own;
    stepUp = c.stepUp ?? false;
  }
  // a port that no case is for is refused, and does not open at once
  if (cases?.length && counts.size < ports.length) return own;
  return { counts: ports.map((_, i) => counts.get(i) ?? 0), approvers, stepUp: stepUp ?? false };
}
