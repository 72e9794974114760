import type { components } from "./openapi";

export type FormState = components["schemas"]["FormState"];
export type FormField = components["schemas"]["FormField"];
export type FormPage = components["schemas"]["FormPage"];
export type FormPart = components["schemas"]["FormPart"];
export type Settings = components["schemas"]["ApplicationSettings"];
export type Answers = Record<string, unknown>; // by the path of the field
type Tree = Record<string, unknown>;

/** nested puts answers by their paths into the objects that the server reads: the basics, and each step. */
export function nested(answers: Answers): { basics: Tree; steps: Record<string, Tree> } {
  const root: { basics: Tree; steps: Record<string, Tree> } = { basics: {}, steps: {} };
  for (const [path, value] of Object.entries(answers)) {
    const names = path.split(".");
    let at: Tree = root;
    for (const name of names.slice(0, -1)) at = (at[name] ??= {}) as Tree;
    at[names.at(-1) ?? ""] = value;
  }
  return root;
}

/** fieldsOf gives every field that asks for something, those within sections as well. */
export function fieldsOf(fields: FormField[] | null | undefined): FormField[] {
  return (fields ?? []).flatMap((f) =>
    f.kind === "section" ? fieldsOf(f.fields) : f.kind === "note" || f.kind === "absent" || f.kind === "jit" ? [] : [f],
  );
}

/** asShown adds to what was answered what is shown without an answer, so that nothing else is deployed. */
export function asShown(answers: Answers, state: FormState): Answers {
  const out: Answers = {};
  for (const page of state.steps)
    for (const f of fieldsOf(page.fields)) {
      const value = f.path in answers ? answers[f.path] : f.value;
      if (value !== undefined && value !== null) out[f.path] = value;
    }
  return out;
}

/** same compares values of choices. */
export const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** part reads one of the values of an answer that is an object. */
export function part(value: unknown, path: string): unknown {
  let at = value;
  for (const name of path.split(".")) at = at && typeof at === "object" ? (at as Tree)[name] : undefined;
  return at;
}

/** withPart gives the object with another value for one part; empty takes it away. */
export function withPart(value: unknown, path: string, to: unknown): Tree {
  const [name = "", ...rest] = path.split(".");
  const out: Tree = { ...(value && typeof value === "object" ? (value as Tree) : {}) };
  const inner = rest.length ? withPart(out[name], rest.join("."), to) : to;
  if (inner === "" || inner === undefined || (rest.length && Object.keys(inner as Tree).length === 0)) {
    const { [name]: _, ...others } = out;
    return others;
  }
  out[name] = inner;
  return out;
}

/** partsShown are the parts that count with the value that there is. */
export const partsShown = (parts: FormPart[], value: unknown) =>
  parts.filter((p) => {
    if (!p.when) return true;
    const first = parts.find((o) => o.path === p.when)?.choices?.[0];
    return (p.is ?? []).includes(String(part(value, p.when) ?? first));
  });

/** withFirsts adds to an object the first choice of each part that shows one, so that what is seen is what counts. */
export function withFirsts(parts: FormPart[], value: unknown): Tree {
  let out = (value ?? {}) as Tree;
  for (const p of partsShown(parts, out))
    if (p.choices?.length && part(out, p.path) === undefined) out = withPart(out, p.path, p.choices[0]);
  for (const p of parts) if (!partsShown(parts, out).includes(p)) out = withPart(out, p.path, undefined);
  return out;
}

/** tagsOf reads names and values, one a line, for each of some resources. */
export function tagsOf(text: string, resources: string[]): Tree | undefined {
  const pairs: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    const name = (at < 0 ? line : line.slice(0, at)).trim();
    if (name) pairs[name] = at < 0 ? "" : line.slice(at + 1).trim();
  }
  if (!Object.keys(pairs).length) return undefined;
  return Object.fromEntries(resources.map((r) => [r, pairs]));
}

/** tagLines writes tags as they are typed. */
export function tagLines(value: unknown): string {
  const first = Object.values((value ?? {}) as Record<string, Record<string, string>>)[0] ?? {};
  return Object.entries(first)
    .map(([name, v]) => `${name} = ${v}`)
    .join("\n");
}

/** withoutSecrets is an answer as the browser may keep it; undefined where nothing is left. */
export function withoutSecrets(f: FormField, value: unknown): unknown {
  if (f.kind === "secret") return undefined;
  if (f.kind === "parts")
    return (f.parts ?? []).reduce((v, p) => (p.kind === "secret" ? withPart(v, p.path, undefined) : v), value);
  if (f.kind === "grid" && Array.isArray(value)) {
    const secret = (f.fields ?? []).filter((c) => c.kind === "secret").map((c) => c.name);
    return value.map((row: Tree) => Object.fromEntries(Object.entries(row).filter(([name]) => !secret.includes(name))));
  }
  return value;
}

/** inWords is an answer as the last page shows it. */
export function inWords(f: FormField, value: unknown): string {
  if (value === undefined || value === null || value === "") return "–";
  if (f.kind === "secret") return "••••••••";
  if (f.kind === "check") return value === true ? "Yes" : "No";
  if (f.kind === "choice" || f.kind === "options") {
    const label = (v: unknown) => f.choices?.find((c) => same(c.value, v))?.label ?? String(v);
    return Array.isArray(value) ? value.map(label).join(", ") : label(value);
  }
  if (f.kind === "file") return `${String(value).length.toLocaleString("en")} characters`;
  if (f.kind === "grid") return `${(value as unknown[]).length} rows`;
  if (f.kind === "parts")
    return partsShown(f.parts ?? [], value)
      .filter((p) => part(value, p.path) !== undefined)
      .map((p) => `${p.label}: ${p.kind === "secret" ? "••••••••" : String(part(value, p.path))}`)
      .join("; ");
  if (f.kind === "tags") return tagLines(value).replaceAll("\n", ", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value) + (f.unit ? " " + f.unit : "");
}
