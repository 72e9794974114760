import { failure, type Failure } from "./api";

/** now is the present second, for countdowns. */
class Clock {
  now = $state(new Date());
  constructor() {
    setInterval(() => { this.now = new Date(); }, 1000);
  }
}
export const time = new Clock();

/** Live is a value that is loaded again and again while the page is looked at. What was loaded stays through faults. */
export class Live<T> {
  value = $state<T>();
  problem = $state<Failure>();
  #load: () => Promise<T>;
  #turn = 0;

  /** Made while a component starts; load's reactive reads make it load anew. */
  constructor(load: () => Promise<T>, everyMillis = 4000) {
    this.#load = load;
    $effect(() => {
      this.#turn++;
      void this.refresh();
      const timer = setInterval(() => { if (!document.hidden) void this.refresh(); }, everyMillis);
      const seen = () => { if (!document.hidden) void this.refresh(); };
      document.addEventListener("visibilitychange", seen);
      return () => { clearInterval(timer); document.removeEventListener("visibilitychange", seen); };
    });
  }

  async refresh() {
    const turn = this.#turn;
    try {
      const value = await this.#load();
      if (turn === this.#turn) { this.value = value; this.problem = undefined; }
    } catch (thrown) {
      if (turn === this.#turn) this.problem = failure(thrown);
    }
  }
}
