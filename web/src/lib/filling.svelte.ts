import { failure, type Failure } from "./api";
import { fieldsOf, nested, withoutSecrets, type Answers, type FormField, type FormState, type Settings } from "./form";
import { session } from "./session.svelte";
import { still } from "./still";

/** Question is what the server evaluates. */
export type Question = ReturnType<typeof nested> & {
  name?: string;
  resourceGroup?: string;
  managedResourceGroup?: string;
  settings?: Settings;
  seed: string;
};

type Kept = {
  name: string;
  group: string;
  managed: string;
  answers: Answers;
  settings?: Settings;
  seed: string;
  digest: string;
};

const pause = 200; // milliseconds after the last key

/**
 * Filling is a form that somebody fills in. The server evaluates it a moment after each change, and an answer that comes
 * late is dropped. What was typed is kept for the tab, but for secrets: a session may end in the middle of it.
 */
export class Filling {
  name = $state("");
  group = $state("");
  managed = $state("");
  answers = $state.raw<Answers>({});
  settings = $state.raw<Settings>();
  state = $state.raw<FormState>();
  problem = $state.raw<Failure>();
  waiting = $state(false);
  digest = ""; // of the definition that the answers were begun with
  seed: string = crypto.randomUUID();
  restored = false;
  #asked = 0; // how often the server was asked: what answers an earlier question is dropped
  #seen: Record<string, FormField> = {};
  #timer = 0;
  #evaluate: (q: Question) => Promise<FormState>;
  #key: string;

  /** key names what is filled in; empty: nothing is kept. */
  constructor(evaluate: (q: Question) => Promise<FormState>, key = "") {
    this.#evaluate = evaluate;
    this.#key = key && `postern-form ${session.me?.principal.id} ${key}`;
    this.#restore();
  }

  get question(): Question {
    return {
      ...nested(this.answers),
      name: this.name.trim() || undefined,
      resourceGroup: this.group || undefined,
      managedResourceGroup: this.managed.trim() || undefined,
      settings: this.settings,
      seed: this.seed,
    };
  }

  /** set takes an answer; undefined takes it back. */
  set(path: string, value: unknown) {
    const { [path]: _, ...others } = this.answers;
    this.answers = value === undefined ? others : { ...others, [path]: value };
    this.changed();
  }

  /** changed has the form evaluated once nobody types. */
  changed() {
    this.#keep();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.now(), pause);
  }

  /** now has the form evaluated at once, and tells whether that worked. */
  async now(): Promise<boolean> {
    clearTimeout(this.#timer);
    const mine = ++this.#asked;
    const newest = () => mine === this.#asked;
    this.waiting = true;
    try {
      const state = await this.#evaluate(this.question);
      await still();
      if (!newest()) return false;
      this.state = state;
      for (const page of state.steps) for (const f of fieldsOf(page.fields)) this.#seen[f.path] = f;
      this.problem = undefined;
      this.digest ||= state.digest ?? "";
      this.#keep();
    } catch (thrown) {
      if (newest()) this.problem = failure(thrown);
      return false;
    } finally {
      if (newest()) this.waiting = false;
    }
    return true;
  }

  /** forget ends it: nothing is kept any more. */
  forget() {
    clearTimeout(this.#timer);
    if (this.#key) sessionStorage.removeItem(this.#key);
    this.#key = "";
  }

  #keep() {
    if (!this.#key) return;
    const answers: Answers = {};
    for (const [path, value] of Object.entries(this.answers)) {
      const seen = this.#seen[path]; // one that was not seen yet was kept before
      const kept = seen ? withoutSecrets(seen, value) : value;
      if (kept !== undefined) answers[path] = kept;
    }
    const { name, group, managed, settings, seed, digest } = this;
    sessionStorage.setItem(
      this.#key,
      JSON.stringify({ name, group, managed, settings, seed, digest, answers } satisfies Kept),
    );
  }

  #restore() {
    const text = this.#key && sessionStorage.getItem(this.#key);
    if (!text) return;
    const kept = JSON.parse(text) as Kept;
    this.restored = !!kept.name || Object.keys(kept.answers).length > 0;
    Object.assign(this, kept);
  }
}
