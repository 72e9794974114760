/** Said is a sentence about what was done just now, with a page that shows it, if there is one. */
export type Said = { id: number; text: string; to?: string; word?: string };

const stays = 7000; // milliseconds, unless somebody is at it

/**
 * Toasts are what the pages say after an act: the list that it was done from often no longer shows what it was done to.
 * App shows them in one live region, and the focus stays where it is.
 */
class Toasts {
  all = $state<Said[]>([]);
  #next = 1;
  #held = false;

  /** say tells that something was done. */
  say(text: string, link?: { to: string; word: string }) {
    const id = this.#next++;
    this.all = [...this.all.slice(-2), { id, text, ...link }];
    setTimeout(() => this.#fade(id), stays);
  }

  #fade(id: number) {
    if (this.#held) setTimeout(() => this.#fade(id), stays);
    else this.drop(id);
  }

  drop(id: number) {
    this.all = this.all.filter((s) => s.id !== id);
  }

  /** hold keeps what is shown while the pointer or the focus is on it. */
  hold(held: boolean) {
    this.#held = held;
  }
}
export const toasts = new Toasts();
export const say = toasts.say.bind(toasts);
