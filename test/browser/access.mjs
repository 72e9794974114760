// Goes from the sign-in page to open and closed ports as people do, and looks at each page on the way. Every complaint of
// the browser, of its policy of content, and of axe is a fault.
import { check, clicker, faults, inspect, launch, person, portal, reaches, signIn, until } from "./lib.mjs";

const { ADMIN_PASSWORD, ANNA_PASSWORD, BEN_PASSWORD, WEB, DB, SPARE } = process.env;
const own = "a long enough password 42";
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });

// Without a session there is only the sign-in page, and it leads back to where one wanted to go.
const anna = await person(browser);
await anna.goto(portal + "/access");
check("the sign-in page remembers the way", new URL(anna.url()).searchParams.get("next") === "/access");
await inspect(anna, "sign-in");
anna.expected.push(/401/);
await anna.getByLabel("Name").fill("anna");
await anna.getByLabel("Password", { exact: true }).fill("not the password");
await anna.getByRole("button", { name: "Sign in", exact: true }).click();
await anna.getByRole("alert").waitFor();
anna.expected.push(/403/); // the one-time password asks for a new one
await signIn(anna, "anna", ANNA_PASSWORD, own);
anna.expected.length = 0;
await anna.getByText("Everything is closed").waitFor();
await inspect(anna, "overview, nothing open");
await anna.getByRole("button", { name: "Sign out" }).click();
await anna.getByText("You are signed out.").waitFor();

// From the sign-in page to an open port: half a minute and six clicks at most.
check("the port is shut", !(await reaches(WEB)));
const began = Date.now();
const click = clicker(anna);
await anna.goto(portal + "/");
await anna.getByLabel("Name").fill("anna");
await anna.getByLabel("Password", { exact: true }).fill(own);
await click("button", "Sign in");
await click("link", "Machines");
await click("link", "Connect to web-1");
await anna.getByLabel(/Justification/).fill("Deploy of the checkout service");
await anna.getByText("Opens without approval.").waitFor();
await click("button", "Request access");
await until("the port is open in the kernel", () => reaches(WEB));
await anna.getByText("ssh " + WEB).waitFor();
const seconds = (Date.now() - began) / 1000;
check(`at most six clicks, it took ${click.count}`, click.count <= 6);
check(`within half a minute, it took ${seconds} s`, seconds < 30);
check("the time that is left is shown", /^\d+:\d\d$|h/.test(await anna.getByRole("timer").innerText()));
await inspect(anna, "connect, open");

// More time within the policy, and the end.
await anna.getByRole("link", { name: "My access", exact: true }).click();
await anna.getByText("Live").first().waitFor();
await inspect(anna, "my access, live");
await anna.getByRole("button", { name: "Extend" }).click();
await anna.getByRole("dialog").getByText("15 min, until").waitFor({ state: "attached" });
await inspect(anna, "extend");
await anna.getByLabel(/Additional time/).selectOption("900");
await anna.getByRole("dialog").getByRole("button", { name: "Extend" }).click();
await anna.getByRole("dialog").waitFor({ state: "detached" });
await until("the end is later", async () => (await anna.request.get(portal + "/api/v1/grants?principal=me&state=active").then((r) => r.json())).items.some((g) => Date.parse(g.end) - Date.parse(g.start) > 4400_000));
await anna.getByRole("button", { name: "Revoke" }).click();
await until("the port is shut in the kernel", async () => !(await reaches(WEB)));
await anna.getByText("Nothing is open for you").waitFor();
await anna.locator("section", { hasText: "Past" }).getByText("Revoked", { exact: true }).waitFor();
await inspect(anna, "my access");

// What needs approval says so before it is sent, and waits.
await anna.getByRole("link", { name: "Request access" }).first().click();
await inspect(anna, "ask, empty");
await anna.getByRole("button", { name: "db-1", exact: true }).click();
await anna.getByRole("button", { name: "web-1", exact: true }).click();
check("what is picked is in the address", new URL(anna.url()).searchParams.getAll("machine").join() === "db-1,web-1");
await anna.getByText("May approve: ben").waitFor();
await anna.getByText("Needs no approval itself, but opens with the rest once that is approved.").waitFor();
await anna.getByText("nothing opens before all of it is approved").waitFor();
check("nothing is said to open at once", (await anna.getByText("Opens without approval.").count()) === 0);
await anna.getByRole("radio", { name: /A named network/ }).check();
await anna.getByLabel("Network", { exact: true }).selectOption("office");
await inspect(anna, "ask");
await anna.getByRole("radio", { name: /My address/ }).check();
await anna.getByRole("button", { name: "Remove web-1" }).click();
await anna.getByLabel(/Justification/).fill("Look at the locks");
await anna.getByRole("button", { name: "Request access", exact: true }).click();
await anna.getByText("What approval opens").waitFor();
const address = new URL(anna.url()).pathname;
check("nobody decides their own", (await anna.getByRole("button", { name: "Approve" }).count()) === 0);
check("the database is shut", !(await reaches(DB)));
await anna.goto(portal + "/machines/db-1/connect");
await anna.getByText("Pending approval").waitFor();

// A second person, on a phone, follows the link of the notification and lets it through.
const ben = await person(browser, { viewport: { width: 390, height: 844 } });
ben.expected.push(/403/);
await signIn(ben, "ben", BEN_PASSWORD, own);
ben.expected.length = 0;
await ben.getByText("Look at the locks").waitFor();
await inspect(ben, "overview, one waits");
await ben.setViewportSize({ width: 390, height: 844 });
await ben.goto(portal + "/approvals");
await ben.getByText("Look at the locks").waitFor();
await inspect(ben, "approvals");
await ben.goto(portal + "/approvals?show=all&state=pending");
await ben.getByText("Look at the locks").waitFor();
await inspect(ben, "all requests");
await ben.goto(portal + address);
await ben.getByText("may reach").waitFor();
await ben.getByText("If the server or the agent is unreachable").waitFor();
await ben.getByText("1 of ben").waitFor();
await inspect(ben, "decide");
await ben.setViewportSize({ width: 390, height: 844 });
const thumb = await ben.getByRole("button", { name: "Approve" }).boundingBox();
check("the buttons are where a thumb is, and large enough", thumb.y > 700 && thumb.height >= 44 && thumb.width > 120);
await ben.getByRole("button", { name: "Deny" }).click();
await ben.getByText("Give a reason").waitFor();
await ben.getByRole("button", { name: "Approve" }).click();
await until("the database is open in the kernel", () => reaches(DB));
await anna.getByText("ssh " + DB).waitFor(); // her page was told
await ben.goto(portal + "/");
await ben.getByRole("link", { name: "db-1" }).waitFor();
await inspect(ben, "overview with a lane");
await anna.getByRole("button", { name: "Revoke" }).click();
await until("the database is shut in the kernel", async () => !(await reaches(DB)));
await anna.goto(portal + address);
await anna.getByText("Look at the locks").waitFor();
await inspect(anna, "request");

// Every reason of a refusal is shown.
anna.expected.push(/status of 40\d/);
await anna.goto(portal + "/ask?machine=web-1");
await anna.getByLabel("Another address or a prefix").check();
await anna.getByLabel("Address or prefix", { exact: true }).fill("203.0.113.0/33");
await anna.getByText(/203\.0\.113\.0\/33/).waitFor();
const send = await anna.getByRole("button", { name: "Request access", exact: true }).boundingBox();
await anna.mouse.move(send.x + send.width / 2, send.y + send.height / 2);
await anna.mouse.down(); // what the server says meanwhile does not move the button from under a slow click
await anna.getByLabel("Address or prefix", { exact: true }).evaluate((e) => { e.value = "203.0.113.0/" + "3".repeat(300); e.dispatchEvent(new Event("input")); });
await anna.waitForResponse((r) => r.url().endsWith("/policies/explain") && r.request().postData().includes("/3333"));
await anna.waitForTimeout(200); // for what would be drawn
await anna.mouse.up();
await anna.getByRole("alert").waitFor();
await anna.goto(portal + "/requests/none");
await anna.getByRole("alert").waitFor();
await inspect(anna, "no such request");
anna.expected.length = 0;
await anna.goto(portal + "/nowhere");
await inspect(anna, "no such page");
await anna.goto(portal + "/account");
await anna.getByRole("heading", { name: "Passkeys" }).waitFor();
await inspect(anna, "account");

// Times are the viewer's, with UTC at hand.
const shown = await ben.getByText(/^Times\s+in/).innerText();
check("the zone is named: " + shown, shown.includes("Europe/Berlin, UTC+"));
await ben.getByRole("button", { name: "Show UTC" }).click();
await ben.getByText("Times in UTC").waitFor();
await ben.getByRole("button", { name: "Show Europe/Berlin" }).click();

// What the enforcer has not confirmed is opening, and not open; the command waits for that.
await anna.goto(portal + "/machines/dark-1/connect");
await anna.getByText("Opens without approval.").waitFor();
await anna.getByRole("button", { name: "Request access" }).click();
await anna.getByText("Opening: approved, and not yet confirmed by gw-dark.").waitFor();
check("no command yet", (await anna.getByLabel("How to connect").count()) === 0 && (await anna.getByText("Active", { exact: true }).count()) === 0);
await inspect(anna, "connect, opening");
await ben.goto(portal + "/");
await ben.getByRole("listitem").filter({ hasText: "dark-1" }).getByText("Opening").waitFor();
await anna.getByRole("button", { name: "Revoke" }).click();
await anna.getByRole("heading", { name: "Open a port" }).waitFor();
await anna.getByRole("region", { name: "May still be open" }).getByText(/may\s+still\s+be\s+open\s+until\s+.*:\s+no\s+agent\s+has\s+seen\s+it\s+closed/).waitFor();

// Without the stream, pages ask again by themselves.
const deaf = await person(browser, { storageState: await ben.context().storageState() });
deaf.expected.push(/ERR_FAILED/);
await deaf.context().route("**/api/v1/changes", (route) => route.abort());
await deaf.goto(portal + "/");
await deaf.getByText("Polling every few seconds").waitFor();
await ben.getByText("Live", { exact: true }).waitFor();
await anna.goto(portal + "/machines/web-1/connect");
await anna.getByText("Opens without approval.").waitFor();
await anna.getByRole("button", { name: "Request access" }).click();
await deaf.getByRole("link", { name: "web-1" }).waitFor();
await ben.getByRole("link", { name: "web-1" }).waitFor();
await anna.getByRole("button", { name: "Revoke" }).click();
await deaf.getByRole("link", { name: "web-1" }).waitFor({ state: "detached" });
await deaf.context().close();

// The administrator looks at the machines, and guards one; its port shuts.
const admin = await person(browser);
await signIn(admin, "admin", ADMIN_PASSWORD);
await admin.getByRole("link", { name: "Machines", exact: true }).click();
const row = admin.getByRole("row").filter({ hasText: "web-1" });
await row.waitFor();
await row.getByText("Closed", { exact: true }).waitFor(); // once the agent has confirmed it
const text = await row.innerText();
check("it says what happened: " + text, /Closed/.test(text) && /Gateway gw-berlin/.test(text) && /\b[12]\b/.test(text) && /anna/.test(text));
await inspect(admin, "machines");
await admin.getByRole("searchbox").fill("b-1");
await admin.getByRole("searchbox").fill("db");
await row.waitFor({ state: "detached" });
check("the search has an address", new URL(admin.url()).searchParams.get("q") === "db");
await admin.getByRole("link", { name: "Clear" }).click();
await row.waitFor();
await admin.getByLabel("State").selectOption("open");
await admin.getByRole("row").filter({ hasText: "dark-1" }).getByRole("link", { name: /may still be open/ }).waitFor(); // no agent has seen it closed
await row.waitFor({ state: "detached" });
check("the filter has an address", new URL(admin.url()).searchParams.get("state") === "open");
await admin.goBack();
await row.waitFor();
await admin.getByLabel("Select all machines on this page").check();
await admin.getByText("3 machines selected").waitFor();
await inspect(admin, "machines, picked");
await admin.getByRole("region", { name: "Selected machines" }).getByRole("link", { name: "Request access" }).click();
await admin.getByRole("group", { name: "Ports of db-1" }).waitFor();
await admin.goto(portal + "/machines?tab=unsupported");
await admin.getByText("Every machine is supported").waitFor();
await admin.getByRole("button", { name: "Add a machine" }).click();
await inspect(admin, "add a machine");
await admin.keyboard.press("Escape");
await admin.getByRole("link", { name: /Not configured/ }).click();
check("the spare machine is open", await reaches(SPARE));
await admin.getByLabel("Select spare-1").check();
await inspect(admin, "machines, not configured");
await admin.getByRole("link", { name: "Enable JIT", exact: true }).click();
await admin.getByRole("heading", { level: 1, name: /for 1 machines|for spare-1/ }).waitFor();
await admin.goto(portal + "/machines/spare-1/guard");
await admin.getByText("What changes in the firewall").waitFor();
await admin.getByText("closed; can be opened from any single address for at most 3 h").first().waitFor();
await admin.getByLabel("Approval").first().selectOption("1");
await admin.getByText("Choose who may approve.").waitFor();
await admin.getByLabel("Who may approve").fill("be");
await admin.getByRole("button", { name: "ben", exact: true }).click();
await inspect(admin, "guard");
await admin.getByRole("button", { name: "Enable" }).click();
await admin.getByRole("heading", { level: 1, name: "spare-1" }).waitFor();
await admin.getByText("at most 3 h").first().waitFor();
await until("the spare machine is shut", async () => !(await reaches(SPARE)));
await inspect(admin, "machine");
await admin.getByRole("link", { name: "Edit ports" }).click();
await admin.getByText("the same ports are guarded").waitFor();
check("the rule is read back", (await admin.getByLabel("Approval").first().inputValue()) === "1" && (await admin.getByLabel("Approval", { exact: true }).count()) === 1 && await admin.getByRole("button", { name: "Remove ben" }).isVisible());
check("so is the usual gap", (await admin.getByLabel("Gap", { exact: true }).inputValue()) === "900");
await admin.getByLabel("Maximum duration").first().selectOption("900");
await admin.getByText("stays closed; can be opened from any single address for at most 15 min").waitFor();
await admin.getByRole("button", { name: "Save" }).click();
await admin.getByText("at most 15 min").first().waitFor();

// What each page fetches, and how soon something is seen.
const fresh = await person(browser, { storageState: await admin.context().storageState() });
const weigh = () => fresh.evaluate(() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((e) => !e.name.includes("/api/")).reduce((sum, e) => sum + e.encodedBodySize, 0));
await fresh.goto(portal + "/");
await fresh.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
const first = await weigh();
check(`the first load weighs at most 120 KB, it is ${first}`, first > 10_000 && first < 120_000);
const further = {};
for (const [path, name] of Object.entries({ "/machines/spare-1/guard": /spare-1/, "/account": "Your account", "/activity": "Activity" })) {
  const before = await weigh();
  await fresh.evaluate((to) => { const a = document.createElement("a"); a.href = to; document.body.append(a); a.click(); a.remove(); }, path);
  await fresh.getByRole("heading", { level: 1, name }).waitFor(); // of the page itself, so all of it has come
  further[path] = (await weigh()) - before;
  check(`${path} weighs something, and at most 20 KB more, it is ${further[path]}`, further[path] > 1000 && further[path] < 20_000);
}
const paints = [];
for (let i = 0; i < 5; i++) {
  await fresh.goto(portal + "/");
  await fresh.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  paints.push(Math.round(await fresh.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0)));
}

await browser.close();
if (faults.length) process.exit(1);
console.log(JSON.stringify({ clicks: click.count, secondsFromSignInToOpen: seconds, bytes: first, further, firstPaintMillis: paints }));
