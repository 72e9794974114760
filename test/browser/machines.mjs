// The list of machines with several pages of them: filters, order, picks, the menu of a row, and the table of it all.
import { readFileSync } from "node:fs";
import { check, faults, inspect, launch, person, portal, reaches, signIn, until } from "./lib.mjs";

const { ADMIN_PASSWORD, ANNA_PASSWORD, WEB } = process.env;
const own = "a long enough password 42";
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const admin = await person(browser, { viewport: { width: 1280, height: 800 } });
await signIn(admin, "admin", ADMIN_PASSWORD);
const api = async (page, path) => (await page.request.get(portal + "/api/v1" + path)).json();
const names = () => admin.locator("tbody tr td:nth-child(2) a.font-medium").allInnerTexts();
const shows = (what, list) => until(what, async () => (await names()).join() === list.join());
const box = (name) => admin.getByLabel("Select " + name, { exact: true });
const bar = admin.getByRole("region", { name: "Selected machines" });
const picked = (n) => bar.getByText(`${n} ${n === 1 ? "machine" : "machines"} selected`).waitFor();
const menu = (name) => admin.getByRole("button", { name: "Actions for " + name, exact: true });

// Many fit on a page, each in one line.
await admin.goto(portal + "/machines?tab=notConfigured");
await box("m-000").waitFor();
const rows = await admin.locator("tbody tr").evaluateAll((all) => all.map((r) => r.getBoundingClientRect()).map((r) => [r.height, r.bottom <= innerHeight]));
check(`a row is 40 pixels at most: ${rows[0]}`, rows.every(([height]) => height <= 40));
check(`12 rows at least are in view: ${rows.filter(([, seen]) => seen).length}`, rows.filter(([, seen]) => seen).length >= 12);

// The server filters by words and labels, and sorts.
const field = admin.getByRole("searchbox");
await field.fill("env=prod m-00");
await shows("labels and a part of the name", ["m-000", "m-003", "m-006", "m-009"]);
await admin.getByRole("link", { name: "Machine", exact: true }).click();
await shows("the other way round", ["m-009", "m-006", "m-003", "m-000"]);
check("the head says so", (await admin.getByRole("columnheader", { name: "Machine", exact: true }).getAttribute("aria-sort")) === "descending");
await field.fill("env!=prod 10.99.0.1 m-00");
await shows("what has not the label, by a part of its address", ["m-001"]);
await field.fill("nothing=like");
await admin.getByText("No matching machines").waitFor();
await field.fill("");
await admin.getByRole("link", { name: "Added" }).click();
await until("the newest first", async () => (await names())[0] === "m-299");

// Two picks on two pages, one filter: both stay, and are asked for together.
await admin.goto(portal + "/machines?tab=notConfigured");
await box("m-001").check();
await admin.getByRole("link", { name: "Next page" }).click();
await admin.getByText("Page 2 of 6").waitFor();
await box("m-051").check();
await field.fill("m-29");
await box("m-290").waitFor();
await picked(2);
await field.fill("");
await box("m-001").waitFor();
check("the first is picked still", await box("m-001").isChecked());
await menu("m-002").click();
await admin.getByRole("menuitem", { name: "Details" }).click();
await admin.getByRole("heading", { level: 1, name: "m-002" }).waitFor();
await admin.goBack();
await picked(2);
await admin.getByLabel("Select all machines on this page").check();
await admin.getByRole("button", { name: "Select all 300" }).click();
await picked(300);
await inspect(admin, "300 machines picked");
await bar.getByRole("button", { name: "Clear" }).click();

// The menu of a row, by keys alone: what is revoked is said first, done, and said again; the focus stays at the row.
const anna = await person(browser);
anna.expected.push(/403/); // the one-time password asks for a new one
await signIn(anna, "anna", ANNA_PASSWORD, own);
anna.expected.length = 0;
await anna.goto(portal + "/ask?machine=web-1");
await anna.getByRole("button", { name: "Request access", exact: true }).click();
await until("the port is open", () => reaches(WEB));
await admin.goto(portal + "/machines");
await admin.getByRole("link", { name: /tcp\/22.*anna/ }).waitFor();
await menu("web-1").focus();
await admin.keyboard.press("ArrowDown");
await admin.getByRole("menu").waitFor();
await admin.keyboard.press("Escape");
check("Escape gives the focus back", await menu("web-1").evaluate((e) => e === document.activeElement));
await admin.keyboard.press("Enter");
await admin.keyboard.press("r"); // Request access has the focus, so the next that begins so is Revoke
check("the letter found it", (await admin.evaluate(() => document.activeElement.textContent.trim())) === "Revoke access…");
await inspect(admin, "menu of a row");
await admin.goto(portal + "/machines");
await admin.getByRole("link", { name: /tcp\/22.*anna/ }).waitFor();
await menu("web-1").press("Enter");
await admin.getByRole("menu").waitFor();
await admin.keyboard.press("r");
await admin.keyboard.press("Enter");
const asks = admin.getByRole("dialog", { name: "Revoke access to web-1?" });
await asks.getByText(/Access of anna.* to tcp\/22 ends now/).waitFor();
await asks.getByRole("button", { name: "Revoke" }).press("Enter");
await admin.getByRole("status", { name: "What was done" }).getByText("Revoked 1 grant on web-1.").waitFor();
await until("the port is shut", async () => !(await reaches(WEB)));
check("the focus is at the row", await menu("web-1").evaluate((e) => e === document.activeElement));

// Two tabs: what one removes, the other no longer shows; what follows is said before.
const other = await admin.context().newPage();
await other.goto(portal + "/machines?tab=notConfigured&q=m-00");
await other.getByLabel("Select m-004", { exact: true }).check();
await admin.goto(portal + "/machines?tab=notConfigured&q=m-00");
await box("m-004").waitFor();
await admin.locator("tr", { has: box("m-004") }).click({ button: "right", position: { x: 400, y: 10 } });
await admin.getByRole("menuitem", { name: "Remove…" }).click();
await admin.getByRole("dialog").getByText("It has no guarded ports.").waitFor();
await admin.getByRole("button", { name: "Remove", exact: true }).click();
await admin.getByText("Removed m-004.").waitFor();
await box("m-004").waitFor({ state: "detached" });
await other.getByLabel("Select m-004", { exact: true }).waitFor({ state: "detached" });
await other.close();

// The table has everything that the filter finds, not what the page shows.
await admin.goto(portal + "/machines?tab=notConfigured&q=env%3Dprod");
await box("m-000").waitFor();
const [file] = await Promise.all([admin.waitForEvent("download"), admin.getByRole("link", { name: "Download CSV" }).click()]);
const lines = readFileSync(await file.path(), "utf8").trim().split("\r\n");
check(`100 rows and a head: ${lines.length}`, lines.length === 101);
check("names, not ids: " + lines[1], lines[0].startsWith("machine,subscription,resourceGroup") && lines[1].startsWith("m-000,default,default"));

// Whoever may ask sees the ports and none of what they may not do.
await anna.goto(portal + "/machines");
await anna.getByRole("button", { name: "Actions for web-1" }).click();
const offered = await anna.getByRole("menuitem").allInnerTexts();
check("offered: " + offered, offered.join() === "Request access,Connect,Details");
await anna.keyboard.press("Escape");
await inspect(anna, "machines of whoever asks");

if (faults.length) { console.error(faults.join("\n")); process.exit(1); }
await browser.close();
