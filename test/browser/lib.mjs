import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { mkdtempSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const portal = process.env.PORTAL;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const faults = [];

/** launch starts a browser with a profile of its own. */
export async function launch(...args) {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...args],
    env: { ...process.env, HOME: mkdtempSync(join(process.env.PROFILE, "home-")) },
  });
}

/** person is a context of its own; whatever its pages complain of is a fault of the test. */
export async function person(browser, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 }, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.expected = []; // patterns of complaints that a test provokes
  const provoked = new Map(); // address → the patterns that stood when it was called: its complaint may come when they no longer do
  page.on("request", (r) => provoked.set(r.url(), [...(provoked.get(r.url()) ?? []), ...page.expected]));
  const complain = (text, about = "") => {
    if (![...page.expected, ...(provoked.get(about) ?? [])].some((p) => p.test(text))) faults.push(`${page.url()}: ${text} ${about}`);
  };
  page.on("console", (m) => { if (["error", "warning"].includes(m.type())) complain(`console: ${m.text()}`, m.location().url); });
  page.on("pageerror", (e) => complain(`error: ${e.stack ?? e}`));
  return page;
}

/** signIn signs in at a server; fresh is the password that takes the place of a one-time one. */
export async function signIn(page, name, password, fresh, at = portal) {
  await page.goto(at + "/");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  if (fresh) {
    await page.getByLabel("New password").fill(fresh);
    await page.getByLabel("Repeat password").fill(fresh);
    await page.getByRole("button", { name: "Save and sign in" }).click();
  }
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
}

/** reaches tells whether a TCP connection to the echo of a machine comes through. */
export function reaches(host, port = 22) {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 700 });
    const end = (answer) => { socket.destroy(); resolve(answer); };
    socket.on("connect", () => end(true));
    socket.on("timeout", () => end(false));
    socket.on("error", () => end(false));
  });
}

export async function until(what, check, patience = 25_000) {
  for (const end = Date.now() + patience; Date.now() < end; await new Promise((r) => setTimeout(r, 100))) if (await check()) return;
  throw new Error("not in time: " + what);
}

export function check(what, holds) {
  if (!holds) throw new Error("does not hold: " + what);
}

/** inspect runs axe and looks for horizontal scrolling: on a desk in the light theme, and on a phone in the dark one. */
export async function inspect(page, name) {
  for (const [width, height, colorScheme] of [[390, 844, "dark"], [1440, 900, "light"]]) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.evaluate(() => scrollTo(0, 0));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) faults.push(`${name} is ${wide} pixels too wide at ${width}`);
    // Playwright evaluates outside the page's policy of content, so axe itself needs no way in.
    if (!(await page.evaluate(() => !!window.axe))) await page.evaluate(axe + ";0");
    const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] }));
    for (const v of found.violations) faults.push(`${name}, ${colorScheme}, ${width}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160) + " " + (n.any[0]?.message ?? "")).slice(0, 3).join(" | ")}`);
  }
}

/** clicker counts the clicks of a page. */
export function clicker(page) {
  const click = async (role, name, exact = true) => { click.count++; await page.getByRole(role, { name, exact }).first().click(); };
  click.count = 0;
  return click;
}
