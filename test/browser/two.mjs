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
const box = (name) => admin.getByLabel("Pick " + name, { exact: true });
const head = admin.getByLabel("Pick every machine of this page");
const bar = admin.getByRole("region", { name: "Picked machines" });
const picked = (n) => bar.getByText(`${n} ${n === 1 ? "machine" : "machines"} picked`).waitFor();
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
await admin.getByLabel("Longest time").nth(1).selectOption("900");
await admin.getByLabel("Approval").first().selectOption("1");
await admin.getByLabel("Who may approve").fill("ben");
await admin.getByRole("button", { name: "ben", exact: true }).click();
await admin.getByLabel("Who may approve").fill("anna");
await admin.getByLabel("Who may approve").press("Enter");
await admin.getByRole("button", { name: "Leave out ben" }).click();
await admin.getByRole("button", { name: "Enable" }).click();
await admin.getByRole("heading", { level: 1, name: "Machines", exact: true }).waitFor();
for (const name of ["spare-00", "spare-01"]) {
  const policy = await api(admin, `/machines/${name}/policy`);
  check(name + " is guarded as it was said: " + JSON.stringify(policy), policy.ports.map((p) => `${p.ports}:${p.maxSeconds}`).join() === "22:10800,5986:900" && JSON.stringify(policy.approval[0].stages[0].allOf) === '[{"count":1,"people":["anna"]}]');
}

// Ports of two machines in one request: ticking one leaves every other.
const anna = await person(browser);
anna.expected.push(/403/); // the one-time password asks for a new one
await signIn(anna, "anna", ANNA_PASSWORD, own);
anna.expected.length = 0;
await anna.goto(portal + "/machines");
await anna.getByLabel("Pick db-1", { exact: true }).check();
await anna.getByLabel("Pick web-1", { exact: true }).check();
await anna.getByRole("region", { name: "Picked machines" }).getByRole("link", { name: "Request access" }).click();
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
await anna.getByRole("button", { name: "Leave out db-1" }).click();
await until("the other machine's ports stay", async () => (await sum.getByRole("listitem").allInnerTexts()).map((t) => t.split("\n")[0]).join() === "web-1 tcp/22,web-1 tcp/443");
await anna.goBack();
await port("db-1", "tcp/5432").waitFor();
await anna.getByRole("button", { name: "Request access", exact: true }).click();
await anna.getByText("What approving opens").waitFor();
const made = await api(anna, new URL(anna.url()).pathname);
check("the request is what was ticked: " + JSON.stringify(made.items), made.items.map((i) => `${i.machine} ${i.ports}`).sort().join() === "db-1 5432,web-1 22,web-1 443");

await browser.close();
if (faults.length) process.exit(1);
