import { api, ask, type PortRule } from "./api";
import { type Case, condition, type Rule } from "./rule";

const whenOf = (ports: PortRule[]) => ports.map(condition).join(" || ");

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
  const stages = (count: number) => [
    { allOf: [{ count, groups: groups.length ? groups : undefined, people: people.length ? people : undefined }] },
  ];
  const every = numbers.length === 1 && rule.counts.every((n) => n > 0);
  const cases: Case[] = numbers.map((count) => ({
    name: `${count === 1 ? "One person" : `${count} people`} for ${ports
      .filter((_, i) => rule.counts[i] === count)
      .map((p) => `${p.protocol ?? "tcp"}/${p.ports}`)
      .join(", ")}`.slice(0, 256),
    when: every ? undefined : whenOf(ports.filter((_, i) => rule.counts[i] === count)),
    stages: stages(count),
    stepUp: rule.stepUp || undefined,
  }));
  if (!every) cases.push({ name: "Everything else opens at once" });
  return cases;
}
