import { may } from "./session.svelte";

/** Place is a page that one can go to by name. */
export type Place = { to: string; name: string; words?: string; shown?: () => boolean };

const apps = () =>
  may("Microsoft.Solutions/applications/read") || may("Microsoft.Solutions/applicationDefinitions/read");

const publishes = () => may("Microsoft.Solutions/applicationDefinitions/write");

/** roleTabs are the pages of roles that are had for a while. */
export const roleTabs = () =>
  shown([
    { to: "/roles", name: "Your roles" },
    { to: "/applications", name: "Managed applications", shown: apps },
    { to: "/applications?tab=offers", name: "Offers", shown: apps },
    { to: "/applications?tab=definitions", name: "Your definitions", shown: publishes },
  ]);

/** main is what the navigation shows. */
export const main: Place[] = [
  { to: "/", name: "Overview", words: "home open now timeline" },
  { to: "/machines", name: "Machines", words: "hosts servers ports policies" },
  { to: "/access", name: "My access", words: "grants live past extend end" },
  { to: "/approvals", name: "Approvals", words: "inbox decide approve deny" },
  { to: "/roles", name: "Roles", words: "eligible activate just-in-time" },
  {
    to: "/activity",
    name: "Activity",
    words: "log audit events csv",
    shown: () => may("Microsoft.Insights/eventtypes/values/read"),
  },
  { to: "/alerts", name: "Alerts", words: "warnings severity", shown: () => may("alerts/read") },
  { to: "/settings", name: "Settings", words: "administration" },
];

const group = (name: string, places: Place[]) => ({ name, places });

/** settings is every page of the settings, in groups. */
export const settings = [
  group("You", [
    { to: "/account", name: "Your account", words: "password passkeys sessions sign out everywhere" },
    { to: "/settings/tokens", name: "API tokens", words: "programs pat" },
  ]),
  group("People and programs", [
    { to: "/settings/people", name: "People", words: "users accounts", shown: () => may("principals/read") },
    { to: "/settings/groups", name: "Groups", words: "members nested", shown: () => may("principals/read") },
    {
      to: "/settings/programs",
      name: "Service principals",
      words: "programs clients secrets",
      shown: () => may("principals/read"),
    },
  ]),
  group("Rights", [
    {
      to: "/settings/roles",
      name: "Roles",
      words: "definitions custom permissions",
      shown: () => may("Microsoft.Authorization/roleDefinitions/read"),
    },
    {
      to: "/settings/assignments",
      name: "Role assignments",
      words: "rights who has",
      shown: () => may("Microsoft.Authorization/roleAssignments/read"),
    },
    {
      to: "/settings/eligibilities",
      name: "Eligibilities",
      words: "just-in-time roles activate",
      shown: () => may("Microsoft.Authorization/roleAssignments/read"),
    },
    {
      to: "/settings/networks",
      name: "Named networks",
      words: "prefixes addresses",
      shown: () => may("networks/read"),
    },
  ]),
  group("Notifications", [
    { to: "/settings/channels", name: "Channels", words: "mail smtp slack teams webhook pagerduty" },
    { to: "/settings/routes", name: "Subscriptions", words: "routes notifications watch mute" },
    {
      to: "/settings/deliveries",
      name: "Deliveries",
      words: "dead letters outbox",
      shown: () => may("deliveries/read"),
    },
  ]),
  group("System", [
    {
      to: "/settings/agents",
      name: "Agents",
      words: "enrollment tokens gateways",
      shown: () => may("agents/read") || may("enrollmentTokens/write"),
    },
    { to: "/settings/checkpoints", name: "Checkpoints", words: "merkle signed proof", shown: () => may("events/read") },
  ]),
] satisfies { name: string; places: Place[] }[] as { name: string; places: Place[] }[];

/** further is what the command palette reaches besides. */
export const further: Place[] = [
  { to: "/ask", name: "Request access", words: "ask open port" },
  { to: "/machines?tab=notConfigured", name: "Machines that are not configured", words: "enable guard" },
  { to: "/applications", name: "Managed applications", words: "publisher customer offers", shown: apps },
  {
    to: "/applications?tab=offers",
    name: "Offers of managed applications",
    words: "definitions deploy publisher",
    shown: apps,
  },
  { to: "/notifications", name: "Notifications", words: "inbox bell unread" },
  {
    to: "/applications?tab=definitions",
    name: "Definitions of managed applications",
    words: "publish offer createUiDefinition withdraw",
    shown: publishes,
  },
  { to: "/reviews", name: "Break-glass reviews", words: "emergency debt" },
  { to: "/alerts/rules", name: "Alert rules", words: "thresholds severity", shown: () => may("alerts/read") },
  {
    to: "/activity/who",
    name: "Who had access",
    words: "audit at instant",
    shown: () => may("Microsoft.Insights/eventtypes/values/read"),
  },
  ...settings.flatMap((g) => g.places),
];

export const shown = (places: Place[]) => places.filter((p) => !p.shown || p.shown());
