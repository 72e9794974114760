// Where the focus goes when what has it goes away: a button that did its work is often gone with its row. Left alone,
// the browser puts the focus on the whole document, and who works with keys or by ear begins anew at the top.

const places = "li, section, [role=region], form, dialog, main";

/** able tells whether an element can have the focus. */
const able = (e: Element) => e.isConnected && !e.matches(":disabled") && e.checkVisibility();

/**
 * around is an element and what it stands in, from the inside out; what was taken away meanwhile can be passed over.
 */
function around(e: Element): Element[] {
  const found = [e];
  for (let at = e.parentElement; at; at = at.parentElement) if (at.matches(places)) found.push(at);
  return found;
}

function settle(chain: Element[]) {
  const to = chain.find(able);
  if (!(to instanceof HTMLElement)) return;
  if (to !== chain[0] && !to.hasAttribute("tabindex")) to.tabIndex = -1;
  to.focus({ preventScroll: true });
}

/** mark remembers where the focus is, and gives what brings it back there, or as near as is left. */
export function mark(): () => void {
  const chain = document.activeElement ? around(document.activeElement) : [];
  return () => settle(chain);
}

/** keepFocus looks after the focus of the page from now on. */
export function keepFocus() {
  let chain: Element[] = [];
  document.addEventListener("focusin", (e) => {
    chain = around(e.target as Element);
  });
  // Whoever clicks beside everything wants no focus; what was disabled or taken away did not let go of it.
  document.addEventListener("pointerdown", (e) => {
    if (!chain[0]?.contains(e.target as Node)) chain = [];
  });
  const look = () => {
    const at = chain[0];
    if (!at || (document.activeElement && document.activeElement !== document.body)) return;
    if (at.isConnected && at.matches(":disabled")) return; // it is busy, and comes back or goes
    settle(chain);
  };
  new MutationObserver(look).observe(document.body, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ["disabled"],
  });
}
