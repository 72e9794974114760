import { onDestroy } from "svelte";

/**
 * whileHere lets calls through for as long as the component that asks for it is on the page. A dialog's end comes late
 * where the server answers late, or as an event that the browser queued, and must not close the dialog that was opened
 * meanwhile.
 */
export function whileHere(call: () => void): () => void {
  let here = true;
  onDestroy(() => {
    here = false;
  });
  return () => {
    if (here) call();
  };
}
