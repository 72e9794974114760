// One stream tells every part of the page when there is something to load anew. Without it, parts ask again by the
// clock.

type Listener = (kinds: string[]) => void;

const patience = 15_000; // before the stream is tried anew, where the server refused it
const unseen = 30_000; // a page that is not looked at lets go of its stream after so long

class Changes {
  /** The stream is up: what is not told of has not changed. */
  connected = $state(false);
  #listeners = new Set<Listener>();
  #source?: EventSource;
  #timer?: ReturnType<typeof setTimeout>;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.#timer);
      if (document.hidden) this.#timer = setTimeout(() => this.#close(), unseen);
      else if (!this.#source) this.#open();
    });
    this.#open();
  }

  #close() {
    this.#source?.close();
    this.#source = undefined;
    this.connected = false;
  }

  #open() {
    this.#close();
    clearTimeout(this.#timer);
    const source = new EventSource("/api/v1/changes");
    this.#source = source;
    let first = true;
    source.addEventListener("changes", (e) => {
      const kinds: string[] = JSON.parse((e as MessageEvent<string>).data).kinds;
      this.connected = true;
      // The first message comes at each connection: what happened before it was not told.
      if (kinds.length || !first) for (const tell of this.#listeners) tell(kinds);
      first = false;
    });
    source.onerror = () => {
      this.connected = false;
      if (source.readyState !== EventSource.CLOSED || source !== this.#source) return; // it comes back by itself
      this.#close();
      if (!document.hidden) this.#timer = setTimeout(() => this.#open(), patience);
    };
  }

  /** listen calls tell with the kinds of thing that changed; none means that it may be any. It gives what ends that. */
  listen(tell: Listener): () => void {
    this.#listeners.add(tell);
    return () => this.#listeners.delete(tell);
  }
}
export const changes = new Changes();
