import { failure, type Failure } from "./api";

/** Doing is what a button does: busy while it lasts, and the problem where it did not work. */
export class Doing {
  busy = $state(false);
  problem = $state<Failure>();

  /** run tells whether it worked. */
  async run(what: () => Promise<unknown>): Promise<boolean> {
    this.busy = true;
    this.problem = undefined;
    try {
      await what();
      return true;
    } catch (thrown) {
      this.problem = failure(thrown);
      return false;
    } finally {
      this.busy = false;
    }
  }
}
