// What changes for a managed application when its customer accepts another version of the definition.
import type { components } from "./openapi";
import { span } from "./span";

type Schemas = components["schemas"];
type Application = Schemas["Application"];
type Definition = Schemas["ApplicationDefinition"];
type Offer = Schemas["ApplicationOffer"];

/** Change is one difference in words; grave is what gives the publisher more than it can do now. */
export type Change = { verb: "Gives" | "Removes" | "Changes"; text: string; grave: boolean };

type Terms = Pick<Definition, "unmanaged" | "authorizations" | "jit">;
type Held = { holder: string; text: string; permanent: boolean };

/** roles is each role that a publisher has by some terms, and how it has it. */
export function roles(of: Terms, jit: boolean): Held[] {
  if (of.unmanaged) return [];
  return (of.authorizations ?? []).map((one) => {
    const most = Math.min(of.jit.maxSeconds || Infinity, one.maxSeconds || Infinity);
    const how = !jit
      ? "permanently"
      : "to activate, as your settings allow" + (most < Infinity ? `, for at most ${span(most)}` : "");
    const kind = { user: "user", group: "group", servicePrincipal: "service principal" }[one.kind ?? "user"];
    return {
      holder: one.principalId ?? "",
      text: `${one.role} for the ${kind} ${one.principal}, ${how}`,
      permanent: !jit,
    };
  });
}

const offered = (o: Offer) =>
  !o.available
    ? "not offered"
    : (o.required ? "required" : "offered") + (o.maxSeconds ? `, at most ${span(o.maxSeconds)}` : "");
const named = (actions: string[] | null | undefined) => (actions?.length ? actions.join(", ") : "none");
const locks: Record<string, string> = { None: "nothing", CanNotDelete: "deletion", ReadOnly: "every change" };
const locked = (level: string | undefined) => locks[level || "None"] ?? level ?? "";

/** updates is every difference that matters to the customer; it is empty where no role and no lock changes. */
export function updates(a: Application, d: Definition): Change[] {
  const found: Change[] = [];
  const was = roles(a, a.settings.jit);
  const will = roles(d, a.settings.jit);
  const has = (list: Held[], one: Held) => list.some((o) => o.holder === one.holder && o.text === one.text);
  for (const one of will) if (!has(was, one)) found.push({ verb: "Gives", text: one.text, grave: one.permanent });
  for (const one of was) if (!has(will, one)) found.push({ verb: "Removes", text: one.text, grave: false });
  const differ = (what: string, before: string, after: string) => {
    if (before !== after) found.push({ verb: "Changes", text: `${what} from ${before} to ${after}`, grave: false });
  };
  differ("what the lock on the managed resource group prevents", locked(a.lockLevel), locked(d.lockLevel));
  differ("the actions that the lock allows", named(a.allowedActions), named(d.allowedActions));
  differ("the data actions that the lock allows", named(a.allowedDataActions), named(d.allowedDataActions));
  differ("just-in-time access", offered(a.jit), offered(d.jit));
  return found;
}
