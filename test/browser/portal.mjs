// Goes through the portal as people do. Every complaint of the browser, of its policy of content, and of axe is a fault.
import { check, faults, inspect, launch, person, portal, reaches, signIn, until } from "./lib.mjs";

const { ADMIN_PASSWORD, ANNA_PASSWORD, BEN_PASSWORD, WEB, DB, SPARE } = process.env;
const own = "a long enough password 42";
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const nasty = `<img src=x onerror="document.title='owned'">=1+1`;

// Without a session there is only the sign-in page, and it leads back to where one wanted to go.
const anna = await person(browser);
await anna.goto(portal + "/access");
check("the sign-in page remembers the way", new URL(anna.url()).searchParams.get("next") === "/access");
await inspect(anna, "sign-in");
anna.expected.push(/401/);
await anna.getByLabel("Name").fill("anna");
await anna.getByLabel("Password", { exact: true }).fill("not the password");
await anna.getByRole("button", { name: "Sign in" }).click();
await anna.getByRole("alert").waitFor();
anna.expected.push(/403/); // the one-time password asks for a new one
await signIn(anna, "anna", ANNA_PASSWORD, own);
await anna.getByText("You may not see how the agents are.").waitFor(); // her role does not reach so far: 403 too
anna.expected.length = 0;

const cookies = await anna.context().cookies();
const session = cookies.find((c) => c.name === "__Host-postern");
check("the session's cookie is locked up", session?.httpOnly && session.secure && session.sameSite === "Lax" && session.path === "/");
check("no script sees the session", !(await anna.evaluate(() => document.cookie + JSON.stringify(localStorage))).includes("pst_"));

// A call with the cookie changes nothing without an origin, or from another one.
const ask = (headers) => anna.context().request.post(portal + "/api/v1/requests", { headers, data: {}, failOnStatusCode: false });
check("no origin, no change", (await ask({})).status() === 403);
check("another site, no change", (await ask({ "Sec-Fetch-Site": "cross-site", Origin: "https://elsewhere.example" })).status() === 403);

// Asking, from the first page to an open port: six clicks at most.
check("the port is shut", !(await reaches(WEB)));
const began = Date.now();
let clicks = 0;
const click = async (role, name) => { clicks++; await anna.getByRole(role, { name, exact: true }).first().click(); };
await click("link", "Request access");
await inspect(anna, "ask, empty");
await click("button", "web-1");
await anna.getByRole("checkbox", { name: /tcp\/22/ }).waitFor();
await anna.getByLabel(/Justification/).fill(nasty);
await anna.getByText("Opens without anybody's approval.").waitFor();
await inspect(anna, "ask");
await click("button", "Request access");
await anna.getByRole("listitem").filter({ hasText: "web-1" }).getByText("Open", { exact: true }).waitFor();
check("at most six clicks", clicks <= 6);
await until("the port is open in the kernel", () => reaches(WEB));
const took = (Date.now() - began) / 1000;
check("the command is shown", await anna.getByText("ssh " + WEB).isVisible());
check("text of people stays text", (await anna.title()) !== "owned" && (await anna.getByText(nasty).count()) > 0);
await inspect(anna, "request");

// More time, and the end.
await anna.getByRole("link", { name: "My access", exact: true }).click();
await anna.getByRole("button", { name: "Extend" }).click();
await inspect(anna, "extend");
anna.expected.push(/status of 40\d/); // longer than the policy's hour
await anna.getByRole("dialog").getByRole("button", { name: "Extend" }).click();
await anna.getByRole("dialog").getByRole("alert").waitFor();
anna.expected.length = 0;
await anna.keyboard.press("Escape");
await anna.getByRole("button", { name: "End now" }).click();
await until("the port is shut in the kernel", async () => !(await reaches(WEB)));
await anna.getByText("Nothing is open for you").waitFor();
await anna.locator("section", { hasText: "Past" }).getByText("Ended", { exact: true }).waitFor();
await inspect(anna, "my access");

// What needs approval waits, and a second person lets it through.
await anna.goto(portal + "/ask?machine=db-1");
await anna.getByLabel(/Justification/).fill("Look at the locks");
await anna.getByText("May approve: ben").waitFor();
await anna.getByRole("button", { name: "Request access", exact: true }).click();
await anna.getByText("What approving opens").waitFor();
check("nobody decides their own", (await anna.getByRole("button", { name: "Approve" }).count()) === 0);
check("the database is shut", !(await reaches(DB)));

const ben = await person(browser);
ben.expected.push(/403/);
await signIn(ben, "ben", BEN_PASSWORD, own);
ben.expected.length = 0;
await ben.getByRole("heading", { name: "Waiting for your decision" }).waitFor();
await ben.getByText("Look at the locks").waitFor();
await inspect(ben, "overview");
await ben.getByRole("link", { name: /Approvals/ }).click();
await ben.getByText("Look at the locks").waitFor();
await inspect(ben, "approvals");
await ben.getByText("Look at the locks").click();
await ben.getByRole("button", { name: "Deny" }).click();
await ben.getByText("Say why").waitFor();
await inspect(ben, "decide");
await ben.getByRole("button", { name: "Approve" }).click();
await until("the database is open in the kernel", () => reaches(DB));
await anna.getByText("Open", { exact: true }).first().waitFor();
await ben.goto(portal + "/");
await ben.getByRole("link", { name: "db-1" }).waitFor();
await inspect(ben, "overview with a lane");
await anna.getByRole("button", { name: "End now" }).click();
await until("the database is shut in the kernel", async () => !(await reaches(DB)));

// Every reason of a refusal is shown.
anna.expected.push(/status of 40\d/);
await anna.goto(portal + "/ask?machine=web-1");
await anna.getByLabel("Another address, a prefix or a named network").check();
await anna.getByLabel("Address, prefix or network").fill("203.0.113.0/33");
await anna.getByRole("button", { name: "Request access", exact: true }).click();
await anna.getByRole("alert").waitFor();
await anna.goto(portal + "/requests/none");
await anna.getByRole("alert").waitFor();
await inspect(anna, "no such request");
anna.expected.length = 0;
await anna.goto(portal + "/nowhere");
await inspect(anna, "no such page");

// The administrator guards a machine; its port shuts.
const admin = await person(browser);
await signIn(admin, "admin", ADMIN_PASSWORD);
await admin.getByRole("link", { name: "Machines", exact: true }).click();
await admin.getByRole("link", { name: "web-1" }).waitFor();
await inspect(admin, "machines");
await admin.getByRole("searchbox").fill("db");
await admin.getByRole("link", { name: "web-1" }).waitFor({ state: "detached" });
check("the search has an address", new URL(admin.url()).searchParams.get("q") === "db");
await admin.getByRole("searchbox").fill("");
await admin.getByRole("link", { name: /Unsupported/ }).click();
await admin.getByText("Every machine is supported").waitFor();
await admin.getByRole("button", { name: "Add a machine" }).click();
await admin.getByRole("button", { name: "Make a token" }).click();
await admin.getByText("postern agent enroll").waitFor();
await inspect(admin, "enrol");
await admin.getByRole("button", { name: "Done" }).click();
await admin.getByRole("link", { name: /Not configured/ }).click();
check("the spare machine is open", await reaches(SPARE));
await inspect(admin, "machines, not configured");
admin.expected.push(/status of 404/); // there is no policy yet
await admin.getByRole("link", { name: "Enable" }).click();
await admin.getByText("tcp/5986 is closed").waitFor();
await inspect(admin, "guard");
await admin.getByRole("button", { name: "Enable" }).click();
await admin.getByRole("heading", { level: 1, name: "spare-1" }).waitFor();
await admin.getByText("at most 3 h").first().waitFor();
admin.expected.length = 0;
await until("the spare machine is shut", async () => !(await reaches(SPARE)));
await inspect(admin, "machine");

// The log, its filter and its address.
await admin.getByRole("link", { name: "Activity", exact: true }).click();
await admin.getByText("policy.written").first().click();
await inspect(admin, "activity");
await admin.getByLabel("Kind").fill("grant.opened");
await admin.getByRole("button", { name: "Filter" }).click();
await admin.getByText("policy.written").first().waitFor({ state: "detached" });
check("the filter has an address", new URL(admin.url()).searchParams.get("kind") === "grant.opened");
const [file] = await Promise.all([admin.waitForEvent("download"), admin.getByRole("button", { name: "Download as CSV" }).click()]);
const text = await (await file.createReadStream()).toArray();
check("the file has both openings", Buffer.concat(text).toString().trim().split("\r\n").length === 3);
await admin.goBack();
await admin.getByText("policy.written").first().waitFor();

// The command palette reaches any page and machine by the keyboard alone.
await admin.keyboard.press("Control+k");
await admin.getByRole("combobox", { name: "Page or machine" }).fill("web");
await admin.getByRole("option", { name: "Request access to web-1" }).waitFor();
await inspect(admin, "command palette");
await admin.keyboard.press("Enter");
await admin.getByRole("heading", { level: 1, name: "web-1" }).waitFor();
await admin.keyboard.press("Control+k");
await admin.keyboard.type("nothing like that");
await admin.getByText("No page or machine begins with").waitFor();
await admin.keyboard.press("Escape");
await admin.setViewportSize({ width: 390, height: 844 });
await admin.getByRole("button", { name: "More" }).click();
await admin.getByRole("option", { name: "Activity" }).click();
await admin.getByRole("heading", { level: 1, name: "Activity" }).waitFor();
await admin.setViewportSize({ width: 1440, height: 900 });

// What the first visit weighs, and how soon something is seen.
const fresh = await person(browser, { storageState: await admin.context().storageState() });
await fresh.goto(portal + "/");
await fresh.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
const weight = await fresh.evaluate(() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((e) => !e.name.includes("/api/")).reduce((sum, e) => sum + e.encodedBodySize, 0));
const paint = await fresh.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0);
check(`the application weighs at most 120 KB, it is ${weight}`, weight > 10_000 && weight < 120_000);

// Signed out is signed out, for whoever kept the cookie too.
await admin.getByRole("button", { name: "Sign out" }).click();
await admin.getByText("You are signed out.").waitFor();
check("the session is over", (await fresh.context().request.get(portal + "/api/v1/me")).status() === 401);

await browser.close();
if (faults.length) process.exit(1);
console.log(JSON.stringify({ clicks, secondsFromSignInToOpen: took, bytes: weight, firstPaintMillis: Math.round(paint) }));
