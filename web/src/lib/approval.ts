import { api, ask, type Policy, type PortRule } from "./api";

type Case = NonNullable<Policy["approval"]>[number];

/** Rule is how many people approve a port, and who may; what the form does not know stays as it was written. */
export type Rule = { counts: number[]; approvers: string[]; stepUp: boolean } | { own: Case[] };

/** condition holds for requests within a port rule. */
function condition(p: PortRule): string {
  const [first, last = first] = p.ports.trim().split("-");
  const protocol = p.protocol === "any" ? "" : ` && request.protocol == "${p.protocol ?? "tcp"}"`;
  return `(request.firstPort >= ${first} && request.lastPort <= ${last}${protocol})`;
}

const whenOf = (ports: PortRule[]) => ports.map(condition).join(" || ");

/** read finds how many approve each port; a rule that this form did not write is given as it is. */
export function read(ports: PortRule[], cases: Case[] | undefined): Rule {
  const counts = ports.map(() => 0);
  let approvers: string[] = [];
  let stepUp = false;
  for (const c of cases ?? []) {
    const quorum = c.stages?.[0]?.allOf?.[0];
    const simple = !c.hours && !c.denies && (c.stages?.length ?? 0) <= 1 && (!c.stages?.length || (c.stages[0]?.allOf?.length === 1 && !c.stages[0].anyOf?.length && !c.stages[0].timeoutSeconds));
    if (!simple) return { own: cases ?? [] };
    const wanted = c.when ? c.when.split(" || ") : ports.map(condition);
    for (const one of wanted) {
      const at = ports.findIndex((p, i) => condition(p) === one && counts[i] === 0);
      if (at < 0 && c.when) return { own: cases ?? [] };
      if (at >= 0) counts[at] = quorum?.count ?? 0;
    }
    if (!quorum) continue;
    const names = [...(quorum.groups ?? []), ...(quorum.people ?? [])];
    if (approvers.length && approvers.join() !== names.join()) return { own: cases ?? [] };
    approvers = names;
    stepUp ||= c.stepUp ?? false;
  }
  return { counts, approvers, stepUp };
}

/** write makes the cases of a rule: one for each number of people, and none where every port opens at once. */
export async function write(ports: PortRule[], rule: Rule): Promise<Case[] | undefined> {
  if ("own" in rule) return rule.own;
  const numbers = [...new Set(rule.counts)].filter((n) => n > 0).sort((a, b) => b - a);
  if (!numbers.length) return undefined;
  const groups: string[] = [];
  const people: string[] = [];
  for (const name of rule.approvers) {
    const p = await ask(api.GET("/api/v1/principals/{principal}", { params: { path: { principal: name } } }));
    (p.kind === "group" ? groups : people).push(p.name);
  }
  const stages = (count: number) => [{ allOf: [{ count, groups: groups.length ? groups : undefined, people: people.length ? people : undefined }] }];
  const every = numbers.length === 1 && rule.counts.every((n) => n > 0);
  const cases: Case[] = numbers.map((count) => ({
    name: `${count === 1 ? "One person" : `${count} people`} for ${ports.filter((_, i) => rule.counts[i] === count).map((p) => `${p.protocol ?? "tcp"}/${p.ports}`).join(", ")}`.slice(0, 256),
    when: every ? undefined : whenOf(ports.filter((_, i) => rule.counts[i] === count)),
    stages: stages(count),
    stepUp: rule.stepUp || undefined,
  }));
  if (!every) cases.push({ name: "Everything else opens at once" });
  return cases;
}
