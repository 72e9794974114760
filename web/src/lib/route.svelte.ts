/** Route is the address of the page: its path, and its query as the page's state that can be shared. */
class Route {
  path = $state(location.pathname);
  query = $state(new URLSearchParams(location.search));

  constructor() {
    addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (e) => {
      const link = (e.target as Element | null)?.closest?.("a");
      if (!link || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
      if (
        link.origin !== location.origin ||
        link.target ||
        link.hasAttribute("download") ||
        link.getAttribute("href")?.startsWith("#")
      )
        return;
      e.preventDefault();
      this.go(link.pathname + link.search);
    });
  }

  #read() {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  go(to: string) {
    const fresh = new URL(to, location.href).pathname !== this.path;
    history.pushState(null, "", to);
    this.#read();
    if (fresh) {
      scrollTo(0, 0);
      requestAnimationFrame(() => document.getElementById("main")?.focus());
    }
  }

  /** replace goes to another address in the place of this one: typing leaves no trail for Back to walk. */
  replace(to: string) {
    history.replaceState(null, "", to);
    this.#read();
  }

  /** set changes one part of the query; empty takes it away. Typing replaces the entry in the history. */
  set(name: string, value: string, replace = false) {
    const q = new URLSearchParams(this.query);
    if (value) q.set(name, value);
    else q.delete(name);
    const to = this.path + (q.size ? "?" + q : "");
    if (replace) history.replaceState(null, "", to);
    else history.pushState(null, "", to);
    this.#read();
  }
}
export const route = new Route();
