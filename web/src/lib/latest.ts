/**
 * Latest picks, of answers that may come in another order than they were asked for, those that are newer than what was
 * taken.
 */
export class Latest {
  #asked = 0;
  #taken = 0;

  /** ask begins a question, and gives what tells whether its answer is to be taken once it is there. */
  ask(): () => boolean {
    const mine = ++this.#asked;
    return () => {
      if (mine <= this.#taken) return false;
      this.#taken = mine;
      return true;
    };
  }

  /** anew leaves out the answers to all that was asked until now: it was about something else. */
  restart() {
    this.#taken = this.#asked;
  }
}
