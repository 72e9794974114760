import type { Me } from "./api";

/** session is who is signed in, once known. */
export const session = $state<{ me?: Me }>({});
