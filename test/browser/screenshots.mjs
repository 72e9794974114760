import { join, resolve } from "node:path";
import { launch, person, portal, signIn } from "./lib.mjs";

const browser = await launch();
const page = await person(browser, { viewport: { width: 1280, height: 800 } });
await signIn(page, "admin", process.env.ADMIN_PASSWORD);
const shot = async (name, path, { width = 1280, height = 800, colorScheme = "light", fullPage = false, before } = {}) => {
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme });
  await page.goto(portal + path);
  await page.locator("h1").waitFor();
  await page.waitForTimeout(600);
  if (before) await before();
  await page.screenshot({ path: resolve(process.env.FOLDER, name + ".png"), fullPage });
};
const waiting = async () => (await (await page.request.get(portal + "/api/v1/requests?needsMe=true")).json()).items[0].id;
const fill = async () => {
  await page.getByLabel("Justification").fill("Failing migration 214: look at the locks");
  await page.getByLabel("Justification").blur();
  await page.evaluate(() => scrollTo(0, 0));
  await page.waitForTimeout(900);
};
await shot("overview", "/", {});
await shot("request", "/ask?machine=db-primary&machine=web-1", { height: 900, before: fill });
await shot("approval-phone", "/requests/" + (await waiting()), { width: 390, height: 844, colorScheme: "dark" });
if (process.env.ALL) {
  const first = async (path) => (await (await page.request.get(portal + path)).json()).items[0];
  const open = await first("/api/v1/grants?state=active");
  // What most installations have little of: credentials of every kind, and a role with two sets of permissions.
  const make = async (path, data) => (await page.context().request.post(portal + "/api/v1" + path, { headers: { Origin: portal, "Sec-Fetch-Site": "same-origin" }, data })).json();
  await make("/tokens", { name: "nightly report", ttlSeconds: 30 * 86400 });
  const split = await make("/roles", { name: "Operator without alerts", assignableScopes: ["/"], permissions: [{ actions: ["Postern.Access/*"], notActions: ["Postern.Access/alerts/*"] }, { actions: ["Postern.Access/alerts/read"] }] });
  const all = {
    overview: "/", machines: "/machines", "machines-not-configured": "/machines?tab=notConfigured", "machines-unsupported": "/machines?tab=unsupported",
    machine: "/machines/web-1", guard: "/machines/spare-1/guard", edit: "/machines/db-primary/guard", "guard-several": "/guard?machine=spare-1&machine=spare-2",
    ask: "/ask?machine=db-primary&machine=web-1", connect: "/machines/web-2/connect", access: "/access", approvals: "/approvals", requests: "/approvals?show=all",
    decide: "/requests/" + (await waiting()), request: "/requests/" + open.request, account: "/account", activity: "/activity", "activity-empty": "/activity?actor=admin&outcome=failed",
    record: "/activity/1", who: "/activity/who", alerts: "/alerts", "alert-rules": "/alerts/rules", reviews: "/reviews", missing: "/nowhere",
    roles: "/roles", applications: "/applications", settings: "/settings", people: "/settings/people", person: "/settings/people/anna", "role-list": "/settings/roles", assignments: "/settings/assignments",
    eligibilities: "/settings/eligibilities", networks: "/settings/networks", tokens: "/settings/tokens", channels: "/settings/channels", "channel-new": "/settings/channels/new", "role-split": "/settings/roles/" + split.id, routes: "/settings/routes", agents: "/settings/agents", checkpoints: "/settings/checkpoints",
  };
  for (const [name, path] of Object.entries(all)) {
    for (const [mode, width, height, colorScheme] of [["light", 1440, 900, "light"], ["dark", 1440, 900, "dark"], ["phone", 390, 844, "light"], ["phone-dark", 390, 844, "dark"]]) {
      await shot(join(process.env.ALL, `${name}-${mode}`), path, { width, height, colorScheme, fullPage: true });
    }
  }
  const out = await person(browser);
  for (const [mode, width, colorScheme] of [["light", 1440, "light"], ["dark", 1440, "dark"], ["phone", 390, "light"], ["phone-dark", 390, "dark"]]) {
    await out.setViewportSize({ width, height: 844 });
    await out.emulateMedia({ colorScheme });
    await out.goto(portal + "/access");
    await out.screenshot({ path: join(process.env.ALL, `sign-in-${mode}.png`) });
  }
}
await browser.close();
