import { owed } from "./owed.svelte";

/** tone is how a severity looks. */
export const tone = (severity: string) =>
  (({ critical: "bad", error: "bad", warning: "warn", info: "plain" }) as const)[severity] ?? "plain";
export const severities = ["info", "warning", "error", "critical"] as const;
export const word = (severity: string) => severity.charAt(0).toUpperCase() + severity.slice(1);
/** alertTabs are the pages of what somebody should look at. */
export const alertTabs = () => [
  { to: "/alerts", name: "Alerts" },
  { to: "/reviews", name: "Break-glass reviews", count: owed.reviews.length || undefined },
  { to: "/alerts/rules", name: "Rules" },
];
