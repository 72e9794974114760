import { may } from "./session.svelte";

/** Place is a page that one can go to by name. */
export type Place = { to: string; name: string; words?: string; shown?: () => boolean };

/** main is what the navigation shows. */
export const main: Place[] = [
  { to: "/", name: "Overview", words: "home open now timeline" },
  { to: "/machines", name: "Machines", words: "hosts servers ports policies" },
  { to: "/access", name: "My access", words: "grants live past extend end" },
  { to: "/approvals", name: "Approvals", words: "inbox decide approve deny" },
  { to: "/activity", name: "Activity", words: "log audit events csv", shown: () => may("Microsoft.Insights/eventtypes/values/read") },
  { to: "/alerts", name: "Alerts", words: "warnings severity", shown: () => may("alerts/read") },
];

/** further is what the command palette reaches besides. */
export const further: Place[] = [
  { to: "/ask", name: "Request access", words: "ask open port" },
  { to: "/account", name: "Your account", words: "passkeys sessions sign out everywhere" },
  { to: "/machines?tab=notConfigured", name: "Machines that are not configured", words: "enable guard" },
  { to: "/reviews", name: "Break-glass reviews", words: "emergency debt" },
  { to: "/alerts/rules", name: "Alert rules", words: "thresholds severity", shown: () => may("alerts/read") },
  { to: "/activity/who", name: "Who had access", words: "audit at instant", shown: () => may("Microsoft.Insights/eventtypes/values/read") },
];

export const shown = (places: Place[]) => places.filter((p) => !p.shown || p.shown());
