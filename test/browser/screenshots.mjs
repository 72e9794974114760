import { join } from "node:path";
import { launch, person, portal, signIn } from "./lib.mjs";

const browser = await launch();
const page = await person(browser, { viewport: { width: 1280, height: 800 } });
await signIn(page, "admin", process.env.ADMIN_PASSWORD);
const shot = async (name, path, { width = 1280, height = 800, colorScheme = "light", before } = {}) => {
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme });
  await page.goto(portal + path);
  await page.locator("h1").waitFor();
  await page.waitForTimeout(900);
  if (before) await before();
  await page.screenshot({ path: join(process.env.FOLDER, name + ".png") });
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
  const all = { overview: "/", machines: "/machines", unset: "/machines?tab=notConfigured", unsupported: "/machines?tab=unsupported", machine: "/machines/web-1", guard: "/machines/spare-1/guard", ask: "/ask?machine=db-primary", access: "/access", approvals: "/approvals", request: "/requests/" + (await waiting()), activity: "/activity", empty: "/activity?actor=admin&outcome=failed", missing: "/nowhere" };
  for (const [name, path] of Object.entries(all)) {
    await shot(`all-${name}-light`, path, { width: 1440, height: 900 });
    await shot(`all-${name}-phone-dark`, path, { width: 390, height: 844, colorScheme: "dark" });
  }
  await shot("all-overview-dark", "/", { width: 1440, height: 900, colorScheme: "dark" });
  const out = await person(browser, { colorScheme: "light", viewport: { width: 1440, height: 900 } });
  await out.goto(portal + "/access");
  await out.screenshot({ path: join(process.env.FOLDER, "all-sign-in.png") });
}
await browser.close();
