import type { Grant } from "./api";

/** canceled tells whether a grant ended before it was to open. */
export const canceled = (g: Grant) => !!g.endedAt && Date.parse(g.endedAt) < Date.parse(g.start);

/** standing is how a grant stands, for its pill: its state, or what the state alone does not say. */
export const standing = (g: Grant) =>
  canceled(g) ? "canceled" : g.state === "active" && g.inPart ? "inPart" : g.state;
