import type { Me } from "./api";

/** session is who is signed in, once known. */
export const session = $state<{ me?: Me }>({});

/** subscriptions is the name of each subscription that the caller may know of, by its id in lower case. */
export const subscriptions = $state<Record<string, string>>({});

/**
 * may tells whether the caller may do an action somewhere, so that a page offers no more than that; the server decides.
 * What is not one of Azure's actions is named by its last words: may("alerts/read").
 */
export const may = (action: string) =>
  session.me?.actions?.includes(action.includes(".") ? action : "Postern.Access/" + action) ?? false;
