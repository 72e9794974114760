import { failure, type Failure } from "./api";
import { changes } from "./changes.svelte";
import { Latest } from "./latest";
import { still } from "./still";

/** now is the present second, for countdowns. */
class Clock {
  now = $state(new Date());
  constructor() {
    setInterval(() => {
      this.now = new Date();
    }, 1000);
  }
}
export const time = new Clock();

const seldom = 30_000; // while changes are told of

/**
 * Live is a value that is loaded again when something of its kinds changed (grant, request, machine: the first words of
 * the records of the activity log), and by the clock while nobody tells. What was loaded stays through faults.
 */
export class Live<T> {
  value = $state<T>();
  problem = $state<Failure>();
  #load: () => Promise<T>;
  #latest = new Latest();

  /** Made while a component starts; load's reactive reads make it load anew. */
  constructor(load: () => Promise<T>, everyMillis = 4000, kinds: string[] = []) {
    this.#load = load;
    $effect(() => {
      this.#latest.restart();
      void this.refresh();
      const seen = () => {
        if (!document.hidden) void this.refresh();
      };
      document.addEventListener("visibilitychange", seen);
      const deaf = changes.listen((told) => {
        if (!document.hidden && (!told.length || told.some((k) => kinds.includes(k)))) void this.refresh();
      });
      return () => {
        document.removeEventListener("visibilitychange", seen);
        deaf();
      };
    });
    $effect(() => {
      const every = kinds.length && changes.connected ? Math.max(everyMillis, seldom) : everyMillis;
      const timer = setInterval(() => {
        if (!document.hidden) void this.refresh();
      }, every);
      return () => clearInterval(timer);
    });
  }

  async refresh() {
    const taken = this.#latest.ask();
    try {
      const value = await this.#load();
      if (this.value !== undefined) await still();
      if (taken()) {
        this.value = value;
        this.problem = undefined;
      }
    } catch (thrown) {
      if (taken()) this.problem = failure(thrown);
    }
  }
}
