import { read, write } from "./wall";

const kept = "postern.utc";

/** Zone is the time zone in which the page shows times and takes them: the viewer's own, or UTC. */
class Zone {
  utc = $state(remembered());
  readonly own = Intl.DateTimeFormat().resolvedOptions().timeZone;

  /** name is how the zone is called that is shown. */
  get name() {
    return this.utc ? "UTC" : this.own;
  }

  toggle() {
    this.utc = !this.utc;
    try {
      localStorage.setItem(kept, this.utc ? "1" : "");
    } catch {
      /* it is kept for this page alone */
    }
  }

  /** read gives the instant that a field for date and time stands for in this zone; undefined where it is none. */
  read(text: string): Date | undefined {
    return read(text, this.utc);
  }

  /** write is an instant as a field for date and time takes it in this zone. */
  write(at: Date, seconds = false): string {
    return write(at, this.utc, seconds);
  }
}

function remembered(): boolean {
  try {
    return localStorage.getItem(kept) === "1";
  } catch {
    return false;
  }
}
export const zone = new Zone();
