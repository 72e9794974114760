/**
 * Picks is several things picked by name, in the order of the picking. A box is tied to one name of it:
 * bind:checked={() => picks.has(name), (on) => picks.set(on, name)}. Svelte's bind:group knows the boxes of one
 * component alone, so that of boxes in rows which are components the last one ticked would stand for all; the build
 * refuses it.
 */
export class Picks {
  names = $state<string[]>([]);

  constructor(names: string[] = []) {
    this.names = names;
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** set picks names, or leaves them out; every other pick stays. */
  set(on: boolean, ...names: string[]) {
    this.names = on
      ? [...this.names, ...names.filter((n) => !this.names.includes(n))]
      : this.names.filter((n) => !names.includes(n));
  }

  clear() {
    this.names = [];
  }
}
