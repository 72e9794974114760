const longest = 3000; // milliseconds; a release outside of the window may never be heard of

let held = 0; // when the pointer was pressed; 0: it is not
const waiting: (() => void)[] = [];

function release() {
  held = 0;
  for (const go of waiting.splice(0)) go();
}
addEventListener(
  "pointerdown",
  () => {
    held = Date.now();
    setTimeout(() => {
      if (Date.now() - held >= longest) release();
    }, longest);
  },
  { capture: true },
);
// after the click that it makes
for (const over of ["pointerup", "pointercancel"]) addEventListener(over, () => setTimeout(release), { capture: true });

/**
 * still resolves once the pointer is not pressed: what arrived meanwhile would move a button from under it, and the
 * click would be lost.
 */
export function still(): Promise<void> {
  return held
    ? new Promise((go) => {
        waiting.push(go);
      })
    : Promise.resolve();
}
