import type { Component } from "svelte";
import Access from "../pages/Access.svelte";
import Approvals from "../pages/Approvals.svelte";
import Ask from "../pages/Ask.svelte";
import Connect from "../pages/Connect.svelte";
import MachinePage from "../pages/Machine.svelte";
import Machines from "../pages/Machines.svelte";
import Missing from "../pages/Missing.svelte";
import Overview from "../pages/Overview.svelte";
import RequestPage from "../pages/Request.svelte";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each page takes what it needs of the address
export type Page = Component<any>;
type Loader = () => Promise<{ default: Page }>;

/** What is used daily comes with the first load; every other page is a file of its own, fetched when it is gone to. */
const here: [RegExp, Page][] = [
  [/^\/$/, Overview],
  [/^\/machines$/, Machines],
  [/^\/machines\/([^/]+)$/, MachinePage],
  [/^\/machines\/([^/]+)\/connect$/, Connect],
  [/^\/ask$/, Ask],
  [/^\/access$/, Access],
  [/^\/approvals$/, Approvals],
  [/^\/requests\/([^/]+)$/, RequestPage],
];
const fetched: [RegExp, Loader][] = [
  [/^\/machines\/([^/]+)\/guard$/, () => import("../pages/Guard.svelte")],
  [/^\/guard$/, () => import("../pages/Guard.svelte")],
  [/^\/account$/, () => import("../pages/Account.svelte")],
  [/^\/activity$/, () => import("../pages/Activity.svelte")],
  [/^\/activity\/who$/, () => import("../pages/Who.svelte")],
  [/^\/alerts$/, () => import("../pages/Alerts.svelte")],
  [/^\/alerts\/rules$/, () => import("../pages/Rules.svelte")],
  [/^\/alerts\/([^/]+)$/, () => import("../pages/Alert.svelte")],
  [/^\/applications$/, () => import("../pages/Applications.svelte")],
  [/^\/applications\/([^/]+)$/, () => import("../pages/Application.svelte")],
  [/^\/notifications$/, () => import("../pages/Notifications.svelte")],
  [/^\/definitions\/([^/]+)$/, () => import("../pages/Definition.svelte")],
  [/^\/offers\/([^/]+)$/, () => import("../pages/Deploy.svelte")],
  [/^\/roles$/, () => import("../pages/Roles.svelte")],
  [/^\/settings$/, () => import("../pages/settings/Index.svelte")],
  [/^\/settings\/tokens$/, () => import("../pages/settings/Tokens.svelte")],
  [/^\/settings\/(people|groups|programs)$/, () => import("../pages/settings/Principals.svelte")],
  [/^\/settings\/((?:people|groups|programs)\/[^/]+)$/, () => import("../pages/settings/Principal.svelte")],
  [/^\/settings\/roles$/, () => import("../pages/settings/RoleList.svelte")],
  [/^\/settings\/roles\/([^/]+)$/, () => import("../pages/settings/RoleEdit.svelte")],
  [/^\/settings\/assignments$/, () => import("../pages/settings/Assignments.svelte")],
  [/^\/settings\/eligibilities$/, () => import("../pages/settings/Eligibilities.svelte")],
  [/^\/settings\/networks$/, () => import("../pages/settings/Networks.svelte")],
  [/^\/settings\/channels$/, () => import("../pages/settings/Channels.svelte")],
  [/^\/settings\/channels\/([^/]+)$/, () => import("../pages/settings/ChannelEdit.svelte")],
  [/^\/settings\/routes$/, () => import("../pages/settings/Routes.svelte")],
  [/^\/settings\/deliveries$/, () => import("../pages/settings/Deliveries.svelte")],
  [/^\/settings\/agents$/, () => import("../pages/settings/Agents.svelte")],
  [/^\/settings\/checkpoints$/, () => import("../pages/settings/Checkpoints.svelte")],
  [/^\/reviews$/, () => import("../pages/Reviews.svelte")],
  [/^\/activity\/(\d+)$/, () => import("../pages/Record.svelte")],
];

export type Found = { id: string; page: Page; load?: undefined } | { id: string; page?: undefined; load: Loader };

/** find gives the page of a path, and the part of the path that names what it shows. */
export function find(path: string): Found {
  const part = (m: RegExpExecArray) => (m[1] ? decodeURIComponent(m[1]) : "");
  for (const [pattern, page] of here) {
    const m = pattern.exec(path);
    if (m) return { id: part(m), page };
  }
  for (const [pattern, load] of fetched) {
    const m = pattern.exec(path);
    if (m) return { id: part(m), load };
  }
  return { id: "", page: Missing };
}
