import createClient from "openapi-fetch";
import type { components, paths } from "./openapi";

type Schemas = components["schemas"];
export type Machine = Schemas["Machine"];
export type Grant = Schemas["Grant"];
export type Access = Schemas["Access"];
export type Request = Schemas["Request"];
export type Event = Schemas["Event"];
export type Me = Schemas["Me"];
export type Policy = Schemas["MachinePolicyView"];
export type PolicyPreview = Schemas["PolicyPreview"];
export type PortRule = Schemas["PortRule"];
export type Reason = Schemas["Reason"];
export type Explanation = Schemas["Explanation"];
export type Quorum = Schemas["Quorum"];
export type Network = Schemas["Network"];
export type Alert = Schemas["Alert"];
export type AlertRule = Schemas["AlertRule"];
export type Review = Schemas["Review"];
export type Principal = Schemas["Principal"];
export type Role = Schemas["Role"];
export type Channel = Schemas["Channel"];

/** Failure is a refusal or a fault, in words for people; status 0 means that the server was not reached. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string,
    readonly reasons: Reason[],
  ) {
    super(message);
  }
}

export const api = createClient<paths>({ baseUrl: "/", querySerializer: { array: { style: "form", explode: false } } });

// A session ends when nobody uses it. What the page reads while nobody touches it, to keep itself up to date, is no use
// of it.
const attended = 60_000; // milliseconds after the last touch
let touched = Date.now(); // the page was opened
for (const touch of ["pointerdown", "keydown", "wheel", "touchmove"])
  addEventListener(
    touch,
    () => {
      touched = Date.now();
    },
    { capture: true, passive: true },
  );
/** unattended tells whether nobody has touched the page for a while. */
export const unattended = () => Date.now() - touched > attended;
api.use({
  onRequest({ request }) {
    if (request.method === "GET" && unattended()) request.headers.set("Postern-Background", "true");
  },
});

// What comes back while the browser is on its way elsewhere leads nowhere else.
let leaving = false;
addEventListener("beforeunload", () => {
  leaving = true;
});
addEventListener("pageshow", () => {
  leaving = false;
});

/** ask gives the answer of a call, or throws a Failure. Without a session it goes to the sign-in page. */
export async function ask<T>(call: Promise<{ data?: T; error?: Schemas["Problem"]; response: Response }>): Promise<T> {
  let answer;
  try {
    answer = await call;
  } catch {
    throw new Failure(
      0,
      "The server cannot be reached. Check your connection; this page retries automatically.",
      "unreachable",
      [],
    );
  }
  const { data, error, response } = answer;
  if (response.status === 401 && !leaving) {
    location.assign("/sign-in?" + new URLSearchParams({ next: location.pathname + location.search }));
  }
  if (!response.ok) {
    const text = error?.detail ?? "The server answered " + response.status + ". Try again in a moment.";
    throw new Failure(response.status, sentence(text), error?.code ?? "unknown", error?.reasons ?? []);
  }
  return data as T;
}

/** failure makes a Failure of whatever was thrown. */
export function failure(thrown: unknown): Failure {
  return thrown instanceof Failure ? thrown : new Failure(0, String(thrown), "unknown", []);
}

/** sentence begins with a capital letter and ends with a full stop. */
export function sentence(text: string): string {
  if (!text) return "";
  const out = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(out) ? out : out + ".";
}
