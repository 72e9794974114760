// Two of everything: what is picked, changed or ended is the one that was meant, with the mouse and with keys alone.
import { check, faults, inspect, launch, person, portal, signIn, until } from "./lib.mjs";

const { ADMIN_PASSWORD, ANNA_PASSWORD, BEN_PASSWORD } = process.env;
const own = "a long enough password 42";
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const admin = await person(browser);
await signIn(admin, "admin", ADMIN_PASSWORD);
const api = async (page, path) => (await page.request.get(portal + "/api/v1" + path)).json();

// Rows of machines: each box is its own, and the one in the head is for the rows that are shown.
const box = (name) => admin.getByLabel("Select " + name, { exact: true });
const head = admin.getByLabel("Select all machines on this page");
const bar = admin.getByRole("region", { name: "Selected machines" });
const picked = (n) => bar.getByText(`${n} ${n === 1 ? "machine" : "machines"} selected`).waitFor();
await admin.goto(portal + "/machines");
await box("web-1").check();
await box("db-1").check();
await picked(2);
check("both boxes are ticked", (await box("web-1").isChecked()) && (await box("db-1").isChecked()) && (await head.isChecked()));
await head.uncheck();
await bar.waitFor({ state: "detached" });
await box("web-1").focus();
await admin.keyboard.press("Space");
check("the head stands between", await head.evaluate((e) => e.indeterminate && !e.checked));
await box("db-1").focus();
await admin.keyboard.press("Space");
await picked(2);
await box("db-1").press("Space");
await picked(1);
check("only the other one is left", (await box("web-1").isChecked()) && !(await box("db-1").isChecked()));
await head.press("Space");
await picked(2);

// Picks stay through paging, filters and other tabs of the page.
await admin.getByRole("link", { name: /^Not configured/ }).click();
await box("spare-00").waitFor();
check("another tab has picks of its own", (await bar.count()) === 0);
await head.check();
await picked(50);
await box("spare-07").uncheck();
await picked(49);
check("the rest of fifty stays", (await box("spare-06").isChecked()) && (await box("spare-08").isChecked()) && !(await head.isChecked()));
await admin.getByRole("link", { name: "Next page" }).click();
await box("spare-51").check();
await picked(50);
await admin.getByRole("link", { name: "First page" }).click();
await box("spare-00").waitFor();
check("the first page is as it was left", (await box("spare-06").isChecked()) && !(await box("spare-07").isChecked()));
await admin.getByRole("searchbox").fill("spare-5");
await box("spare-00").waitFor({ state: "detached" });
check("what is picked shows as picked", (await box("spare-51").isChecked()) && !(await box("spare-50").isChecked()));
await picked(50);
await admin.getByRole("link", { name: /^Configured/ }).click();
await picked(2);
await admin.goBack();
await picked(50);
await bar.getByRole("button", { name: "Clear" }).click();
await admin.getByRole("link", { name: "Clear" }).click();
await box("spare-00").check();
await box("spare-01").check();
await inspect(admin, "two picked");
await bar.getByRole("link", { name: "Enable JIT" }).click();
await admin.getByRole("heading", { level: 1, name: "Enable just-in-time access for 2 machines" }).waitFor();

// Rows of ports, and people who approve: taking one away leaves the other.
await admin.getByRole("button", { name: "Remove port 3389" }).click();
await admin.getByRole("button", { name: "Remove port 5985" }).click();
check("two rows are left", (await admin.getByRole("textbox", { name: /^Port/ }).evaluateAll((all) => all.map((e) => e.value).join())) === "22,5986");
await admin.getByLabel("Maximum duration").nth(1).selectOption("900");
await admin.getByLabel("Gap", { exact: true }).selectOption("3600");
await admin.getByLabel("Approval").first().selectOption("1");
await admin.getByLabel("Who may approve").fill("ben");
await admin.getByRole("button", { name: "ben", exact: true }).click();
await admin.getByLabel("Who may approve").fill("anna");
await admin.getByLabel("Who may approve").press("Enter");
await admin.getByRole("button", { name: "Remove ben" }).click();
await admin.getByRole("button", { name: "Enable" }).click();
await admin.getByRole("heading", { level: 1, name: "Machines", exact: true }).waitFor();
for (const name of ["spare-00", "spare-01"]) {
  const policy = await api(admin, `/machines/${name}/policy`);
  check(name + " is guarded as it was said: " + JSON.stringify(policy), policy.ports.map((p) => `${p.ports}:${p.maxSeconds}`).join() === "22:10800,5986:900" && policy.gapSeconds === 3600 && JSON.stringify(policy.approval[0].stages[0].allOf) === '[{"count":1,"people":["anna"]}]');
}

// Of several machines what changes on each is shown before it is saved, and one that somebody else has changed
// meanwhile is left as it is.
admin.expected.push(/status of 4\d\d/);
await admin.goto(portal + "/guard?machine=spare-00&machine=spare-20");
const diff = admin.getByRole("complementary");
await diff.getByRole("heading", { name: "spare-00" }).waitFor();
await diff.getByText("Other settings that change: approval, gap.").waitFor();
await diff.getByRole("heading", { name: "spare-20" }).waitFor();
await inspect(admin, "what changes on each of two machines");
const rewritten = await admin.request.put(portal + "/api/v1/machines/spare-00/policy", { headers: { Origin: portal }, data: { ports: [{ ports: "22", protocol: "tcp", maxSeconds: 600 }] } });
check("somebody else writes it: " + rewritten.status(), rewritten.ok());
await admin.getByRole("button", { name: "Enable on 2 machines" }).click();
await admin.getByText("spare-00 was not saved").waitFor();
await admin.getByText("1 policy saved").waitFor();
check("what somebody else wrote is as they wrote it", (await api(admin, "/machines/spare-00/policy")).ports[0].maxSeconds === 600);
// What is saved then is what is shown then.
await diff.getByText("at most 3 h (now: from any address, at most 10 min)").waitFor();
await admin.getByRole("button", { name: "Enable on 1 machine" }).click();
await admin.getByRole("heading", { level: 1, name: "Machines", exact: true }).waitFor();
check("now it is saved", (await api(admin, "/machines/spare-00/policy")).ports[0].maxSeconds === 10800);
admin.expected.length = 0;
// Machines that are guarded are edited from one policy.
await admin.goto(portal + "/guard?machine=spare-00&machine=spare-20");
await admin.getByText("The form starts with the policy of spare-00").waitFor();
await diff.getByText("No port changes.").first().waitFor();
await admin.getByLabel("Maximum duration").first().selectOption("900");
await diff.getByRole("heading", { name: "2 machines: spare-00, spare-20" }).waitFor();
await admin.getByRole("button", { name: "Save on 2 machines" }).click();
await until("both are saved", async () => (await api(admin, "/machines/spare-20/policy")).ports[0].maxSeconds === 900 && (await api(admin, "/machines/spare-00/policy")).ports[0].maxSeconds === 900);
await admin.getByRole("heading", { level: 1, name: "Machines", exact: true }).waitFor();

// Ports of two machines in one request: ticking one leaves every other.
const anna = await person(browser);
anna.expected.push(/403/); // the one-time password asks for a new one
await signIn(anna, "anna", ANNA_PASSWORD, own);
anna.expected.length = 0;
await anna.goto(portal + "/machines");
await anna.getByLabel("Select db-1", { exact: true }).check();
await anna.getByLabel("Select web-1", { exact: true }).check();
await anna.getByRole("region", { name: "Selected machines" }).getByRole("link", { name: "Request access" }).click();
const port = (machine, name) => anna.getByRole("group", { name: "Ports of " + machine }).getByLabel(name);
await port("db-1", "tcp/22").waitFor();
await port("web-1", "tcp/22").waitFor();
await port("db-1", "tcp/5432").check();
check("four boxes, three ticked", (await port("db-1", "tcp/22").isChecked()) && (await port("web-1", "tcp/22").isChecked()) && !(await port("web-1", "tcp/443").isChecked()));
await port("web-1", "tcp/443").press("Space");
await port("db-1", "tcp/22").press("Space");
const sum = anna.getByRole("complementary");
await until("the sum has what is ticked", async () => (await sum.getByRole("listitem").allInnerTexts()).map((t) => t.split("\n")[0]).join() === "db-1 tcp/5432,web-1 tcp/22,web-1 tcp/443");
await inspect(anna, "ask, two machines");
await anna.getByRole("button", { name: "Remove db-1" }).click();
await until("the other machine's ports stay", async () => (await sum.getByRole("listitem").allInnerTexts()).map((t) => t.split("\n")[0]).join() === "web-1 tcp/22,web-1 tcp/443");
await anna.goBack();
await port("db-1", "tcp/5432").waitFor();
await anna.getByRole("button", { name: "Request access", exact: true }).click();
await anna.getByText("What approval opens").waitFor();
const made = await api(anna, new URL(anna.url()).pathname);
check("the request is what was ticked: " + JSON.stringify(made.items), made.items.map((i) => `${i.machine} ${i.ports}`).sort().join() === "db-1 5432,web-1 22,web-1 443");

// A request is all or nothing, and the sum says so: what needs no approval itself waits for the rest.
await anna.goto(portal + "/ask?machine=db-1&machine=web-1");
await anna.getByText("nothing opens before all of it is approved").waitFor();
check("nothing opens at once", (await sum.getByText("Opens without").count()) === 0);
anna.expected.push(/status of 400/);
await anna.getByLabel("Another address or a prefix").check();
await anna.getByLabel("Address or prefix", { exact: true }).fill("203.0.113.0/33");
await anna.getByText("as it stands, nothing would open").waitFor();
anna.expected.length = 0;
await anna.getByRole("radio", { name: /My address/ }).check();
await port("db-1", "tcp/22").uncheck();
await port("web-1", "tcp/443").check();
await anna.getByText("All of it opens at once.").waitFor();
check("each opens without approval", (await sum.getByText("Opens without approval.").count()) === 2);
await anna.getByRole("button", { name: "Request access", exact: true }).click();
await anna.getByText("What was requested").waitFor();

// Two requests that wait: deciding one leaves the other, and the keys stay on the page.
const focused = (page) => page.evaluate(() => (document.activeElement === document.body ? "" : document.activeElement?.tagName));
await anna.goto(portal + "/machines/db-1/connect?port=tcp/22");
await anna.getByRole("button", { name: "Open another port" }).click();
await anna.getByText("Opens once it is approved").first().waitFor();
await anna.getByLabel("Justification").fill("The other one");
await anna.getByRole("button", { name: "Request access" }).click();
await until("two wait", async () => (await api(anna, "/requests?requester=me&state=pending")).items.length === 2);
const ben = await person(browser);
ben.expected.push(/403/);
await signIn(ben, "ben", BEN_PASSWORD, own);
ben.expected.length = 0;
await ben.goto(portal + "/approvals");
await ben.getByRole("link", { name: /The other one/ }).waitFor();
check("both wait for him", (await ben.getByRole("main").getByRole("listitem").filter({ hasText: "anna" }).count()) === 2);
await ben.getByRole("link", { name: /The other one/ }).press("Enter");
await ben.getByRole("button", { name: "Approve" }).press("Enter");
await ben.getByRole("button", { name: "Approve" }).waitFor({ state: "detached" });
check("the focus stays on the page after Approve", (await focused(ben)) !== "");
await ben.goto(portal + "/approvals");
await ben.getByRole("main").getByRole("link", { name: /anna/ }).waitFor();
check("the other one still waits", (await ben.getByRole("main").getByRole("link", { name: /anna/ }).count()) === 1 && (await ben.getByText("The other one").count()) === 0);

// A request for twelve machines: what was not looked at is not said to be closed, and can be looked up.
const call = (page, method, path, data) => page.context().request.fetch(portal + "/api/v1" + path, { method, headers: { Origin: portal, "Sec-Fetch-Site": "same-origin" }, data });
const twelve = Array.from({ length: 12 }, (_, n) => `spare-${30 + n}`);
const approval = [{ name: "Spares", stages: [{ allOf: [{ count: 1, people: ["ben"] }] }] }];
for (const name of twelve) check("guarded", (await call(admin, "PUT", `/machines/${name}/policy`, { ports: [{ ports: "22", maxSeconds: 3600 }], approval: name === "spare-40" ? undefined : approval })).ok());
check("open", (await call(admin, "POST", "/requests", { items: [{ machine: "spare-40", ports: "22" }], forSeconds: 600 })).ok());
const dozen = await (await call(anna, "POST", "/requests", { items: twelve.map((machine) => ({ machine, ports: "22" })), forSeconds: 600, justification: "All twelve" })).json();
await ben.goto(portal + "/requests/" + dozen.id);
await until("ten were looked at", async () => (await ben.getByText("Nothing else is open there, as far as you may see.").count()) === 10);
check("two were not", (await ben.getByText("Other open access there was not checked.").count()) === 2);
await inspect(ben, "decide, twelve machines");
await ben.getByRole("button", { name: "Check the other 2" }).click();
await ben.getByText("open for admin until").waitFor();
await until("eleven have nothing open", async () => (await ben.getByText("Nothing else is open there, as far as you may see.").count()) === 11);
await ben.goto(portal + "/approvals");
await ben.getByRole("heading", { level: 1, name: "Approvals" }).waitFor();
check("canceled", (await call(anna, "POST", `/requests/${dozen.id}/cancel`, {})).ok());
check("policies gone", (await Promise.all(twelve.map((name) => call(admin, "DELETE", `/machines/${name}/policy`)))).every((r) => r.ok()));

// Two tabs of one person, and two openings: ending one by its key leaves the other, in both tabs.
const tab = await anna.context().newPage();
await tab.goto(portal + "/access");
await anna.goto(portal + "/access");
const live = (page) => page.getByRole("region", { name: "Active" }).getByRole("listitem");
await until("three are open", async () => (await live(anna).filter({ hasText: "Active" }).count()) === 3 && (await live(tab).count()) === 3);
const ended = live(anna).filter({ hasText: "tcp/443" });
await ended.getByRole("button", { name: "Revoke" }).press("Enter");
await ended.waitFor({ state: "detached" });
check("the focus stays on the page after Revoke", (await focused(anna)) !== "");
await until("two are left in both tabs", async () => (await live(anna).count()) === 2 && (await live(tab).count()) === 2);
check("the others are open", (await live(tab).filter({ hasText: "tcp/22" }).count()) === 2);
await live(tab).first().getByRole("button", { name: "Extend" }).press("Enter");
await tab.getByRole("dialog").getByLabel(/Additional time/).waitFor();
await tab.keyboard.press("Escape");
await tab.getByRole("dialog").waitFor({ state: "detached" });
check("a dialog gives the focus back", await live(tab).first().getByRole("button", { name: "Extend" }).evaluate((e) => e === document.activeElement));

// Two windows to come: one is canceled, and says when it was to open and when that was called off.
const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
for (const ports of ["22", "443"]) check("scheduled", (await call(anna, "POST", "/requests", { items: [{ machine: "web-1", ports }], start: tomorrow, forSeconds: 600 })).ok());
const later = anna.getByRole("region", { name: "Scheduled" }).getByRole("listitem");
await until("two are to come", async () => (await later.count()) === 2);
await later.filter({ hasText: "tcp/443" }).getByRole("button", { name: "Cancel" }).click();
await until("one is left", async () => (await later.count()) === 1 && (await later.innerText()).includes("tcp/22"));
const past = anna.getByRole("region", { name: "Past" }).getByRole("listitem").filter({ hasText: "was to open" });
await past.waitFor();
check("no span runs backwards: " + (await past.innerText()), /Canceled/.test(await past.innerText()) && /was to open .*, canceled/.test(await past.innerText()) && !/ to \d+ \w+,/.test((await past.innerText()).replace("was to open", "")));
await inspect(anna, "my access, one was canceled");

// What is open from one of two addresses alone says so, wherever it is shown.
check("guarded", (await call(admin, "PUT", "/machines/spare-02/policy", { ports: [{ ports: "22", maxSeconds: 3600 }] })).ok());
const part = await call(anna, "POST", "/requests", { items: [{ machine: "spare-02", ports: "22", sources: ["203.0.113.7", "2001:db8::/64"] }], forSeconds: 600 });
check("asked: " + (await part.text()), part.ok());
const inPart = anna.getByRole("region", { name: "Active" }).getByRole("listitem").filter({ hasText: "spare-02" });
await inPart.getByText("Active in part").waitFor();
await inPart.getByText(/not\s+in\s+force\s+from\s+2001:db8::\/64/).waitFor();
await inspect(anna, "my access, open in part");
await admin.goto(portal + "/");
await admin.getByRole("region", { name: "Open now" }).getByRole("listitem").filter({ hasText: "spare-02" }).getByText("Active in part").waitFor();
await inspect(admin, "overview, open in part");

// What ends with a machine is named and counted before it does.
await admin.goto(portal + "/machines/web-1");
await admin.getByRole("button", { name: "Delete" }).click();
await admin.getByText("Ends 1 open grant: anna's tcp/22.").waitFor();
await admin.getByText(/Cancels\s+1\s+scheduled\s+window,\s+the\s+next\s+one\s+anna's\s+tcp\/22/).waitFor();
await admin.getByText("The gateway gw-berlin no longer guards it").waitFor();
await inspect(admin, "delete a machine");
await admin.keyboard.press("Escape");
await admin.getByRole("dialog").waitFor({ state: "detached" });
check("Escape gives the focus back", await admin.getByRole("button", { name: "Delete" }).evaluate((e) => e === document.activeElement));

// The settings, with two of each: what is taken away is what was meant.
const make = async (method, path, data) => { const said = await call(admin, method, path, data); check(`${path}: ${await said.text()}`, said.ok()); };
const pair = async (path, one, two) => { await make("POST", path, one); await make("POST", path, two); };
await pair("/principals", { kind: "group", name: "ops" }, { kind: "group", name: "dba" });
await make("PUT", "/networks/office", { prefixes: ["203.0.113.0/24"] });
await make("PUT", "/networks/vpn", { prefixes: ["198.51.100.0/24"] });
await pair("/tokens", { name: "nightly", ttlSeconds: 86400 }, { name: "hourly", ttlSeconds: 86400 });
await pair("/role-assignments", { principal: "ops", role: "Reader" }, { principal: "dba", role: "Reader" });
await pair("/eligibilities", { principal: "anna", role: "Reader", scope: "/", maxSeconds: 3600 }, { principal: "anna", role: "Contributor", scope: "/", maxSeconds: 3600 });
const hook = { kind: "webhook", allowPrivate: true, secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" };
await pair("/channels", { name: "hook", url: "https://10.77.0.1:9/a", ...hook }, { name: "other", url: "https://10.77.0.1:9/b", ...hook });
await pair("/enrollment-tokens", { name: "new-1" }, { name: "new-2" });
const dialog = admin.getByRole("dialog");
await admin.goto(portal + "/settings/assignments");
await admin.getByText("subscription default").first().waitFor(); // by its name
for (const [page, losing, ok, kept] of [
  ["/settings/networks", "Delete office", "Delete", "Delete vpn"], ["/settings/tokens", "Revoke nightly", "Revoke", "Revoke hourly"],
  ["/settings/assignments", "Remove Reader from ops", "Remove", "Remove Reader from dba"], ["/settings/eligibilities", "Remove Reader from anna", "Remove", "Remove Contributor from anna"],
  ["/settings/agents", "Delete the token for new-1", "Delete", "Delete the token for new-2"],
]) {
  await admin.goto(portal + page);
  const gone = admin.getByRole("button", { name: losing, exact: true });
  await gone.press("Enter");
  await dialog.getByRole("button", { name: ok, exact: true }).press("Enter");
  await gone.waitFor({ state: "detached" });
  check(`${page}: the other one stays`, (await admin.getByRole("button", { name: kept, exact: true }).count()) === 1);
  check(`${page}: the focus stays on the page`, (await focused(admin)) !== "");
}
await admin.goto(portal + "/settings/groups/ops");
for (const name of ["anna", "ben"]) {
  await admin.getByLabel("Person or group").fill(name);
  await admin.getByLabel("Person or group").press("Enter");
  await admin.getByRole("button", { name: `Remove ${name}` }).waitFor();
}
await admin.getByRole("button", { name: "Remove anna" }).press("Enter");
await admin.getByRole("button", { name: "Remove anna" }).waitFor({ state: "detached" });
check("one member is left", (await api(admin, "/principals?group=ops")).items.map((p) => p.name).join() === "ben");
check("the focus stays on the page after Remove", (await focused(admin)) !== "");
await admin.goto(portal + "/settings/routes");
await admin.getByRole("button", { name: "Subscribe" }).click();
await admin.getByLabel("Channel", { exact: true }).selectOption("hook");
await admin.getByLabel("For", { exact: true }).selectOption("all");
const kinds = admin.getByRole("group", { name: /^Notifications/ }).getByRole("checkbox");
await kinds.nth(0).press("Space");
await kinds.nth(1).press("Space");
await kinds.nth(2).check();
await kinds.nth(1).uncheck();
await dialog.getByRole("button", { name: "Subscribe" }).click();
await admin.getByText("Everyone").waitFor();
check("two kinds are told", (await api(admin, "/routes")).items[0].kinds.length === 2);

// Two sessions and two tokens: each is listed, and the one that is meant ends.
for (const name of ["backup", "report"]) check("a token", (await call(anna, "POST", "/tokens", { name, ttlSeconds: 86400 })).ok());
const laptop = await person(browser);
await signIn(laptop, "anna", own);
const ways = (page) => page.getByRole("region", { name: "Sessions and credentials" });
await anna.goto(portal + "/account");
await ways(anna).getByText("This session").waitFor();
await until("two sessions and two tokens are listed", async () => (await ways(anna).getByRole("listitem").count()) === 4);
check("the session that looks has no button", (await ways(anna).getByRole("button", { name: /^End/ }).count()) === 4);
await inspect(anna, "account, two sessions and two tokens");
const asked = anna.getByRole("dialog");
await ways(anna).getByRole("button", { name: "End API token backup" }).press("Enter");
await asked.getByText("Programs that use it are refused").waitFor();
await asked.getByRole("button", { name: "End it" }).press("Enter");
await ways(anna).getByRole("button", { name: "End API token backup" }).waitFor({ state: "detached" });
check("the other token stays", (await ways(anna).getByRole("button", { name: "End API token report" }).count()) === 1);
check("the focus stays on the page after End", (await focused(anna)) !== "");
await ways(anna).getByRole("button", { name: "End all" }).press("Enter");
await asked.getByText("Ends 1 session and 1 API token at once. This session and your password remain.").waitFor();
await inspect(anna, "end all of one's own");
await anna.keyboard.press("Escape");
await asked.waitFor({ state: "detached" });
// An answer that comes late ends nothing but its own dialog.
await anna.context().route("**/credentials", async (route) => {
  if (route.request().method() !== "DELETE") return route.fallback();
  await asked.getByText("The browser or program must sign in again").waitFor();
  await route.fulfill({ status: 204 });
});
await ways(anna).getByRole("button", { name: "End all" }).press("Enter");
await asked.getByRole("button", { name: "End all" }).press("Enter");
await anna.keyboard.press("Escape");
await asked.waitFor({ state: "detached" });
const answered = anna.waitForResponse((r) => r.request().method() === "DELETE");
await ways(anna).getByRole("button", { name: /^End session / }).press("Enter");
await answered;
await anna.context().unroute("**/credentials");
await anna.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
check("the dialog for the session stays", await asked.getByText("The browser or program must sign in again").isVisible());
await asked.getByRole("button", { name: "End it" }).press("Enter");
await until("the other session is over", async () => (await laptop.request.get(portal + "/api/v1/me")).status() === 401);
check("this one is not", (await anna.request.get(portal + "/api/v1/me")).ok());
laptop.expected.push(/status of 401/);

// An administrator sees the same of her, and every act says what it ends.
await admin.goto(portal + "/settings/people/anna");
await until("one session and one token are left", async () => (await ways(admin).getByRole("listitem").count()) === 2);
await inspect(admin, "person, what lets her in");
await admin.getByRole("button", { name: "Reset password" }).click();
await dialog.getByText("This ends 1 session and 1 API token at once.").waitFor();
await admin.keyboard.press("Escape");
await admin.getByRole("button", { name: "Disable" }).click();
await dialog.getByText("Ends 1 session and 1 API token permanently.").waitFor();
await inspect(admin, "disable a person");
await admin.keyboard.press("Escape");
anna.expected.push(/status of 401|ERR_/);
await ways(admin).getByRole("button", { name: "End all" }).press("Enter");
await dialog.getByRole("button", { name: "End all" }).press("Enter");
await until("nothing lets her in", async () => (await anna.request.get(portal + "/api/v1/me")).status() === 401);
await ways(admin).getByText("None.").waitFor();

// What a page reads while nobody touches it is no use of its session; what it reads right after a touch is.
const background = (r) => r.headers()["postern-background"] ?? "";
await admin.goto(portal + "/machines");
await admin.getByRole("heading", { level: 1, name: "Machines" }).waitFor();
const reads = [];
admin.on("request", (r) => { if (r.method() === "GET" && r.url().includes("/api/v1/") && !r.url().endsWith("/changes")) reads.push(background(r)); });
await admin.evaluate(() => { const real = Date.now; Date.now = () => real() + 120_000; });
await make("PUT", "/networks/third", { prefixes: ["192.0.2.0/24"] });
await admin.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
await until("it reads by itself", async () => reads.length > 0);
check("that is said: " + reads, reads.every((b) => b === "true"));
await admin.getByRole("searchbox").press("w");
reads.length = 0;
await admin.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
await until("it reads after a touch", async () => reads.length > 0);
check("that is use: " + reads, reads.every((b) => b === ""));

// A role with two sets of permissions keeps both apart when it is changed.
await make("POST", "/roles", { name: "Split", assignableScopes: ["/"], permissions: [{ actions: ["Postern.Access/*"], notActions: ["Postern.Access/alerts/*"] }, { actions: ["Postern.Access/alerts/read"] }] });
const split = (await api(admin, "/roles")).items.find((r) => r.name === "Split");
await admin.goto(portal + "/settings/roles/" + split.id);
await admin.getByRole("group", { name: "Permissions, 2 of 2" }).waitFor();
await inspect(admin, "a role with two sets of permissions");
await admin.getByLabel("Description").fill("Two sets");
await admin.getByRole("button", { name: "Save" }).press("Enter");
await admin.getByRole("heading", { level: 1, name: "Roles" }).waitFor();
const after = (await api(admin, "/roles")).items.find((r) => r.name === "Split");
check("both sets are as they were: " + JSON.stringify(after.permissions), after.description === "Two sets" && after.permissions.length === 2 && after.permissions[0].notActions.join() === "Postern.Access/alerts/*" && !(after.permissions[1].notActions ?? []).length);

// A mail channel: what is emptied is cleared, and the other one stays.
const mail = { kind: "smtp", allowPrivate: true, mail: { host: "10.77.0.1", port: 2525, tls: "none", from: "a@example.org", fromName: "Postern", helo: "mx.example.org" } };
await pair("/channels", { name: "mail-1", ...mail }, { name: "mail-2", ...mail });
await admin.goto(portal + "/settings/channels/mail-1");
await admin.getByLabel(/^Name at EHLO/).waitFor();
await until("the form is filled", async () => (await admin.getByLabel(/^Name at EHLO/).inputValue()) === "mx.example.org");
await admin.getByLabel(/^Name at EHLO/).fill("");
await admin.getByLabel("Sender's name").fill("");
await admin.getByLabel("Port").fill("");
await inspect(admin, "a mail channel");
await admin.getByRole("button", { name: "Save" }).press("Enter");
await admin.getByText("Saved", { exact: true }).waitFor();
const [cleared, left] = [await api(admin, "/channels/mail-1"), await api(admin, "/channels/mail-2")];
check("what was emptied is cleared: " + JSON.stringify(cleared.mail), !cleared.mail.helo && !cleared.mail.fromName && !cleared.mail.port && cleared.mail.host === "10.77.0.1" && cleared.mail.tls === "none");
check("the other one stays: " + JSON.stringify(left.mail), left.mail.helo === "mx.example.org" && left.mail.port === 2525);

await browser.close();
if (faults.length) process.exit(1);
