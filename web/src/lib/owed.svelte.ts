import type { Review } from "./api";
import { session } from "./session.svelte";

/**
 * Owed is the reviews of emergency access that nobody has closed yet, of those that the viewer may see. App keeps it.
 */
class Owed {
  reviews = $state.raw<Review[]>([]);
  /** Those that the viewer is to close. */
  mine = $derived(this.reviews.filter((r) => r.mine));
  /** Those of what the viewer opened themself, who may not break the glass again before. */
  own = $derived(this.reviews.filter((r) => r.personId === session.me?.principal.id));
  #requests = $derived(new Set(this.reviews.map((r) => r.request?.id)));

  /** broke tells whether what a request opened was opened by breaking the glass, and is not reviewed yet. */
  broke(request: string): boolean {
    return this.#requests.has(request);
  }
}
export const owed = new Owed();
