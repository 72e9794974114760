const kept = "postern.utc";

/** Zone is the time zone in which the page shows times: the viewer's own, or UTC. */
class Zone {
  utc = $state(read());
  readonly own = Intl.DateTimeFormat().resolvedOptions().timeZone;

  toggle() {
    this.utc = !this.utc;
    try {
      localStorage.setItem(kept, this.utc ? "1" : "");
    } catch {
      /* it is kept for this page alone */
    }
  }
}

function read(): boolean {
  try {
    return localStorage.getItem(kept) === "1";
  } catch {
    return false;
  }
}
export const zone = new Zone();
