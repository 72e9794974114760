// Goes through the pages of those who look after things: the activity log with its proofs, alerts, break-glass reviews and
// the command palette. Every complaint of the browser, of its policy of content, and of axe is a fault.
import { check, faults, inspect, launch, person, portal, signIn, until } from "./lib.mjs";

const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const admin = await person(browser);
await signIn(admin, "admin", process.env.ADMIN_PASSWORD);
const link = (name) => admin.getByRole("link", { name, exact: true });
const button = (name) => admin.getByRole("button", { name, exact: true });
const heading = (name) => admin.getByRole("heading", { level: 1, name }).waitFor();

// The log, its filter and its address.
await link("Activity").click();
await admin.getByRole("link", { name: /changed the policy/ }).first().waitFor();
await inspect(admin, "activity");
await admin.getByLabel("Kind").selectOption("grant.opened");
await button("Filter").click();
await admin.getByRole("link", { name: /changed the policy/ }).first().waitFor({ state: "detached" });
check("the filter has an address", new URL(admin.url()).searchParams.get("kind") === "grant.opened");
const [file] = await Promise.all([admin.waitForEvent("download"), link("Download CSV").click()]);
const text = Buffer.concat(await (await file.createReadStream()).toArray()).toString();
check("the file has the openings alone, with names", text.trim().split("\r\n").length >= 2 && !text.includes("policy.written") && /,default,default,grant\.opened,/.test(text) && text.includes("opened 22/tcp on"));
await admin.getByRole("link", { name: /opened 22\/tcp on/ }).first().click();
await admin.getByText("Verified.").waitFor();
await admin.getByText("Show what was verified").click();
await inspect(admin, "record");
await admin.goBack();
await admin.getByLabel("Kind").waitFor();
check("Back keeps the filter", (await admin.getByLabel("Kind").inputValue()) === "grant.opened");
await link("Clear").click();
await admin.getByRole("link", { name: /changed the policy/ }).first().waitFor();
await admin.getByLabel("Person").fill("anna");
await admin.getByLabel("Outcome").selectOption("refused");
await admin.getByLabel("Time").selectOption("24h");
await button("Filter").click();
await until("only refusals of hers", async () => (await admin.getByRole("link", { name: /and was refused/ }).count()) >= 5 && (await admin.getByRole("link", { name: /signed in/ }).count()) === 0);
admin.expected.push(/404/);
await admin.getByLabel("Machine").fill("no-such-machine");
await button("Filter").click();
await admin.getByText("there is no machine", { exact: false }).waitFor();
admin.expected.length = 0;
await admin.getByLabel("Time").selectOption("between");
await inspect(admin, "activity, between");

// It follows, and it can be held still.
await admin.goto(portal + "/activity");
await button("Pause").click();
const newest = await admin.getByRole("main").getByRole("listitem").filter({ hasText: /network|signed in|opened|request|alert/i }).first().innerText();
await admin.context().request.put(portal + "/api/v1/networks/office", { headers: { Origin: portal, "Sec-Fetch-Site": "same-origin" }, data: { prefixes: ["203.0.113.0/24"] } });
await admin.getByText(/newer\s+record/).waitFor();
check("held still", (await admin.getByRole("link", { name: /changed the network/ }).count()) === 0 && newest.length > 0);
await button("Follow").click();
await admin.getByRole("link", { name: /changed the network/ }).first().waitFor();

// A record that was changed on its way does not verify.
await admin.route("**/proof?*", async (r) => {
  const answer = await r.fetch();
  const proof = await answer.json();
  proof.leaf = Buffer.from(Buffer.from(proof.leaf, "base64").toString().replace("succeeded", "refused")).toString("base64");
  await r.fulfill({ response: answer, json: proof });
});
await admin.getByRole("link", { name: /changed the network/ }).first().click();
await admin.getByText("Does not verify.").waitFor();
await inspect(admin, "a record that does not verify");
await admin.unroute("**/proof?*");
await button("Check again").click();
await admin.getByText("Verified.").waitFor();

// Who had access.
await admin.goto(portal + "/activity/who");
await admin.getByText("Name a machine").waitFor();
await admin.getByRole("textbox", { name: "Machine" }).fill("web-1");
await button("Show").click();
await admin.getByText("anna", { exact: true }).waitFor();
await inspect(admin, "who had access");
await admin.getByLabel(/When/).fill("2024-05-01T12:00:00");
await button("Show").click();
await admin.getByText("Nobody had access").waitFor();
// Noon here is ten o'clock in UTC: the address says that, and the field where the page shows UTC.
check("the address holds the instant: " + admin.url(), new URL(admin.url()).searchParams.get("at") === "2024-05-01T10:00:00.000Z");
await button("Show UTC").click();
check("the field is in UTC: " + (await admin.getByLabel("When").inputValue()), (await admin.getByLabel("When (now, if empty; UTC)").inputValue()).startsWith("2024-05-01T10:00"));
await admin.goto(portal + "/activity");
await admin.getByLabel("Time", { exact: true }).selectOption("between");
await admin.getByLabel("From (UTC)").fill("2024-05-01T10:00");
await admin.getByLabel("To (UTC)").fill("2024-05-02T10:00");
await button("Filter").click();
await admin.getByText("No matching records").waitFor();
const between = new URL(admin.url()).searchParams;
check("the filter is in UTC: " + between, between.get("since") === "2024-05-01T10:00:00.000Z" && between.get("before") === "2024-05-02T10:00:00.000Z");
await inspect(admin, "activity, between two instants");
await button("Show Europe/Berlin").click();
check("the same in the other zone", (await admin.getByLabel("From (Europe/Berlin)").inputValue()) === "2024-05-01T12:00");

// Alerts: five refused requests are one; it is acknowledged, then closed, and its evidence leads to the log.
// What somebody should look at, and the review that is owed, are seen on the overview and counted in the navigation.
const menu = (name) => admin.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link", { name });
await admin.goto(portal + "/");
await admin.getByRole("region", { name: "Waiting for your decision" }).getByRole("link", { name: /anna used break-glass: web-1 tcp\/22/ }).waitFor();
await admin.getByRole("region", { name: "Open now" }).getByText("Break-glass").waitFor();
await menu(/^Approvals 1 waiting$/).waitFor();
await menu(/^Alerts \d+ open$/).waitFor();
await inspect(admin, "overview, a review is owed");
await menu(/^Approvals/).click();
await admin.getByRole("main").getByRole("link", { name: /anna used break-glass/ }).waitFor();
const anna = await person(browser);
await signIn(anna, "anna", process.env.ADMIN_PASSWORD);
await anna.getByText("Your break-glass access to web-1 tcp/22 has not been reviewed.", { exact: false }).waitFor();
check("nobody reviews their own", (await anna.getByRole("region", { name: "Waiting for your decision" }).getByText("used break-glass").count()) === 0);
await inspect(anna, "overview of who owes a review");
await menu(/^Alerts/).click();
await admin.getByRole("link", { name: /Repeated refused requests/ }).waitFor();
await inspect(admin, "alerts");
await admin.getByRole("link", { name: /Repeated refused requests/ }).click();
await admin.getByRole("link", { name: /Request refused/ }).first().waitFor();
await inspect(admin, "alert");
await admin.getByLabel(/Comment/).fill(`<img src=x onerror="document.title='owned'">`);
await button("Acknowledge").click();
await admin.getByText("by admin").waitFor();
check("text of people stays text", (await admin.title()) !== "owned");
await admin.getByLabel(/Comment/).fill("It was a typing mistake");
await button("Close").click();
await admin.getByText("It was a typing mistake").waitFor();
await menu(/^Alerts/).click();
await link("Closed").click();
await admin.getByRole("link", { name: /Repeated refused requests/ }).waitFor();
check("the state has an address", new URL(admin.url()).searchParams.get("state") === "closed");

// A rule's threshold.
await link("Rules").click();
await button("Change Many attempts at closed ports").click();
await inspect(admin, "alert rule");
await admin.getByLabel(/Threshold/).fill("250");
await admin.getByLabel("Severity").selectOption("critical");
await button("Save").click();
await admin.getByText("250 attempts in 10m").waitFor();
await inspect(admin, "alert rules");

// The review that anna owes.
await admin.getByRole("link", { name: "Break-glass reviews 1" }).click();
await admin.getByText("Nobody answers the phone").waitFor();
await inspect(admin, "reviews");
await button("Close the review").click();
await admin.getByLabel("Finding").fill("She did what had to be done");
await inspect(admin, "review");
await admin.getByRole("dialog").getByRole("button", { name: "Close the review" }).click();
await admin.getByText("No open reviews").waitFor();
await menu(/^Approvals$/).waitFor();
await anna.getByText("has not been reviewed", { exact: false }).waitFor({ state: "detached" });
await link("All").click();
await admin.getByText("She did what had to be done").waitFor();

// The command palette reaches any page and machine by the keyboard alone.
await admin.keyboard.press("Control+k");
await admin.getByRole("combobox", { name: "Page or machine" }).fill("web");
await admin.getByRole("option", { name: "Request access to web-1" }).waitFor();
await inspect(admin, "command palette");
await admin.keyboard.press("Enter");
await heading("web-1");
await admin.keyboard.press("Control+k");
await admin.keyboard.type("nothing like that");
await admin.getByText("No page or machine begins with").waitFor();
await admin.keyboard.press("Escape");
await admin.setViewportSize({ width: 390, height: 844 });
await button("More").click();
await admin.getByRole("option", { name: "Activity" }).click();
await heading("Activity");

await browser.close();
if (faults.length) process.exit(1);
