import {
  api,
  ask,
  Failure,
  failure,
  sentence,
  type Explanation,
  type Network,
  type Policy,
  type PortRule,
} from "./api";
import { time } from "./live.svelte";
import { guarding } from "./guards";
import { confirmed } from "./passkey";
import { Picks } from "./picks.svelte";
import { rhythms, rule, windows, type Rhythm } from "./series";
import { still } from "./still";
import { unique } from "./text";
import { zone } from "./zone.svelte";

/** Answer is what would become of one port of a draft. */
export type Answer = { machine: string; port: string; answer?: Explanation; error?: string };

const usual = [900, 1800, 3600, 7200, 14400, 28800, 86400];
const asked = 20; // ports that the server is asked about before sending
const list = (text: string) => text.split(/[\s,]+/).filter(Boolean);

/** Draft is a request while it is written. It is made while a component starts. */
export class Draft {
  policies = $state<Record<string, Policy | Failure>>({});
  chosen = new Picks(); // machine, a line break, protocol/ports
  source = $state<"me" | "prefix" | "network">("me");
  prefix = $state("");
  network = $state("");
  networks = $state<Network[]>([]);
  seconds = $state(3600); // 0: until a set time
  until = $state<Date>();
  when = $state<"now" | "later">("now");
  start = $state<Date>();
  rhythm = $state<"" | Rhythm>(""); // empty: once
  times = $state(5); // of a series
  why = $state("");
  ticket = $state("");
  #broken = $state(false); // as it was ticked last
  answers = $state<Answer[]>([]);
  busy = $state(false);
  problem = $state<Failure>();

  #machines: () => string[];
  #key = crypto.randomUUID(); // a second click is the same request
  #attempt = 0;

  constructor(machines: () => string[], wish = "") {
    this.#machines = machines;
    ask(api.GET("/api/v1/networks")).then(
      (page) => {
        this.networks = page.items ?? [];
      },
      () => {},
    );
    $effect(() => {
      for (const m of machines()) if (!this.policies[m]) void this.#load(m, wish);
    });
    $effect(() => {
      if (this.seconds && !this.lengths.includes(this.seconds))
        this.seconds = Math.max(...this.lengths.filter((t) => t <= this.seconds), this.lengths[0] ?? 0);
    });
    $effect(() => this.#explain());
  }

  static name = (machine: string, rule: PortRule) => `${machine}\n${rule.protocol ?? "tcp"}/${rule.ports}`;

  async #load(machine: string, wish: string) {
    try {
      const p = await ask(api.GET("/api/v1/machines/{machine}/policy", { params: { path: { machine } } }));
      this.policies[machine] = p;
      const ports = guarding(p);
      const only =
        ports.find((r) => `${r.protocol ?? "tcp"}/${r.ports}` === wish) ??
        ports.find((r) => r.ports === "22") ??
        ports.find((r) => r.ports === "3389") ??
        ports[0];
      if (only && !this.chosen.names.some((c) => c.startsWith(machine + "\n")))
        this.chosen.set(true, Draft.name(machine, only));
    } catch (thrown) {
      this.policies[machine] = failure(thrown);
    }
  }

  /** guards gives the guarded ports of a machine. */
  guards(machine: string) {
    const p = this.policies[machine];
    return !p || p instanceof Failure ? [] : guarding(p);
  }
  sources = $derived(
    this.source === "me" ? ["me"] : this.source === "network" ? list(this.network) : list(this.prefix),
  );
  items = $derived.by(() =>
    this.#machines().flatMap((machine) =>
      this.guards(machine)
        .filter((r) => this.chosen.has(Draft.name(machine, r)))
        .map((r) => ({
          machine,
          ports: r.ports,
          protocol: r.protocol ?? ("tcp" as const),
          sources: this.sources,
          max: r.maxSeconds,
          policy: r.policy,
        })),
    ),
  );
  most = $derived(this.items.length ? Math.min(...this.items.map((i) => i.max)) : 86400);
  lengths = $derived(unique([...usual.filter((t) => t < this.most), this.most]));
  justified = $derived(this.items.some((i) => i.policy.justification?.required));
  ticketed = $derived(this.items.some((i) => i.policy.ticket?.required));
  breakable = $derived(this.items.length > 0 && this.items.every((i) => i.policy.breakGlass));
  starts = $derived(this.when === "later" ? this.start : undefined);
  windows = $derived(
    this.rhythm && this.starts && this.times >= 1
      ? windows(this.rhythm, this.starts, Math.min(this.times, rhythms[this.rhythm].most), zone.utc)
      : [],
  );
  ends = $derived(this.seconds ? new Date((this.starts ?? time.now).getTime() + this.seconds * 1000) : this.until);
  approvers = $derived(unique(this.answers.flatMap((a) => a.answer?.approvers ?? [])));
  waits = $derived(this.answers.some((a) => a.answer?.outcome === "approval"));
  /** Whether the glass is broken: where nobody is offered to break it, it is not, whatever was ticked before. */
  get glass() {
    return this.#broken && this.breakable && this.waits && !this.rhythm;
  }
  set glass(on: boolean) {
    this.#broken = on;
  }
  fails = $derived(this.answers.some((a) => a.error || a.answer?.outcome === "refused"));

  /** repeat makes it a series, which begins at a set time; or one opening again. */
  repeat(rhythm: "" | Rhythm) {
    this.rhythm = rhythm;
    if (!rhythm) return;
    this.when = "later";
    this.start ??= new Date(Math.ceil(Date.now() / 3600_000) * 3600_000);
    this.seconds ||= 3600;
    this.glass = false;
  }

  /** What would come of it, asked of the server a moment after the last change. */
  #explain() {
    const starts = this.windows[0] ?? this.starts;
    const seconds =
      this.seconds ||
      (this.until ? Math.max(1, Math.round((this.until.getTime() - (starts ?? new Date()).getTime()) / 1000)) : 0);
    const questions = this.items.slice(0, asked).map(({ max: _, policy: _p, ...i }) => ({
      ...i,
      forSeconds: seconds,
      start: starts?.toISOString(),
      justification: this.why.trim() || undefined,
      ticket: this.ticket.trim() || undefined,
    }));
    if (!this.sources.length || !seconds || !questions.length) {
      this.answers = [];
      return;
    }
    let stale = false;
    const timer = setTimeout(
      async () => {
        const all = await Promise.all(
          questions.map(async (q): Promise<Answer> => {
            const of = { machine: q.machine, port: `${q.protocol}/${q.ports}` };
            try {
              return { ...of, answer: await ask(api.POST("/api/v1/policies/explain", { body: q })) };
            } catch (thrown) {
              const f = failure(thrown);
              return { ...of, error: f.reasons[0] ? sentence(f.reasons[0].message) : f.message };
            }
          }),
        );
        await still();
        if (!stale) this.answers = all;
      },
      this.answers.length ? 300 : 50,
    );
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }

  /** send asks, with a passkey where a rule wants one, and gives the request; undefined where that failed. */
  async send() {
    this.busy = true;
    this.problem = undefined;
    try {
      return await confirmed(() =>
        ask(
          api.POST("/api/v1/requests", {
            params: { header: { "Idempotency-Key": this.#key + "-" + this.#attempt } },
            body: {
              items: this.items.map(({ max: _, policy: _p, ...i }) => i),
              start: this.starts?.toISOString(),
              justification: this.why.trim() || undefined,
              ticket: this.ticket.trim() || undefined,
              breakGlass: this.glass || undefined,
              ...(this.rhythm ? { repeat: rule(this.rhythm, this.times), zone: zone.name } : {}),
              ...(this.seconds ? { forSeconds: this.seconds } : { until: this.ends?.toISOString() }),
            },
          }),
        ),
      );
    } catch (thrown) {
      this.problem = failure(thrown);
      // what was refused may be changed and asked anew; what was lost is the same ask
      if (this.problem.status !== 0) this.#attempt++;
      document.getElementById("main")?.scrollIntoView({ block: "start" });
      return undefined;
    } finally {
      this.busy = false;
    }
  }

  /** restart makes the next sending another request, which does not break the glass unless that is asked for again. */
  restart() {
    this.#attempt++;
    this.glass = false;
  }
}
