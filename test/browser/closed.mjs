// What ended and was not seen closed, and what a code opened, is said to be open wherever the portal says what is.
import { check, faults, inspect, launch, person, portal, signIn } from "./lib.mjs";

const { ADMIN_PASSWORD, ANNA_PASSWORD, LATER, LOOK } = process.env;
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const admin = await person(browser);
let shots = 0;
const look = async (name) => {
  await inspect(admin, name);
  if (LOOK) await admin.screenshot({ path: `${LOOK}/closed-${++shots}.png`, fullPage: true });
};

await signIn(admin, "admin", ADMIN_PASSWORD);
const unclosed = admin.getByRole("region", { name: "May still be open" });
await unclosed.getByRole("listitem").filter({ hasText: "web-1" }).getByText(/may\s+still\s+be\s+open\s+until\s+.*:\s+no\s+agent\s+has\s+seen\s+it\s+closed/).waitFor();
await unclosed.getByRole("listitem").filter({ hasText: "db-1" }).getByText(/Opened\s+on\s+the\s+machine\s+itself,\s+until\s+.*It\s+closes\s+only\s+when\s+its\s+time\s+is\s+over/).waitFor();
check("not everything is closed", (await admin.getByText("Everything is closed").count()) === 0);
await look("overview, not closed");

await admin.goto(portal + "/machines?state=open");
const row = (name) => admin.getByRole("row").filter({ hasText: name });
await row("web-1").getByRole("link", { name: "tcp/22 may still be open" }).waitFor();
await row("db-1").getByRole("link", { name: "tcp/22 open by a code" }).waitFor();
check("a machine where nothing may be open is left out", (await row("spare-1").count()) === 0);
check("none of them is closed", (await admin.getByText("Closed", { exact: true }).count()) === 0);
await look("machines, not closed");
await admin.goto(portal + "/machines");
await row("spare-1").getByText("Not confirmed", { exact: true }).waitFor(); // what its agent was told since, it did not confirm

for (const path of ["/machines/web-1", "/machines/web-1/connect", "/access"]) {
  await admin.goto(portal + path);
  await unclosed.getByText(/may\s+still\s+be\s+open\s+until/).first().waitFor();
  check("nothing is said to be closed at " + path, (await admin.getByText(/Nothing\s+is\s+open|Everything\s+is\s+closed/).count()) === 0);
  await look("not closed, at " + path);
}

// Who had access has the code too.
await admin.goto(portal + "/activity/who?machine=db-1");
await admin.getByText("Break-glass code", { exact: true }).waitFor();
await admin.getByText(/opened\s+on\s+the\s+machine\s+itself/).waitFor();
await look("who had access, by a code");

// What an agent said last counts while it is heard of.
await admin.clock.setFixedTime(new Date(LATER));
await admin.goto(portal + "/machines/web-1");
const state = admin.getByRole("region", { name: "Agent" }).locator("dd").first();
await state.getByText(/^Silent\s+since/).waitFor();
check("it is not in force", !/In force/.test(await state.innerText()));
await look("machine, its agent is silent");
// A request that needs no approval is not break-glass, though the box was ticked before.
const anna = await person(browser);
anna.expected.push(/403/); // the one-time password asks for a new one
await signIn(anna, "anna", ANNA_PASSWORD, "a long enough password 42");
anna.expected.length = 0;
const send = async (name) => {
  const sent = anna.waitForRequest((r) => r.method() === "POST" && r.url().endsWith("/api/v1/requests"));
  await anna.getByRole("button", { name, exact: true }).click();
  return (await sent).postDataJSON();
};
await anna.goto(portal + "/machines/spare-1/connect");
await anna.getByLabel(/Justification/).fill("The site is down");
await anna.getByText("Opens once it is approved").waitFor();
const glass = anna.getByLabel(/In an emergency/);
await glass.check();
const port = (name) => anna.getByRole("checkbox", { name });
await port(/tcp\/22/).uncheck();
await port(/tcp\/443/).check();
await anna.getByText("Opens without approval.").waitFor();
check("what needs no approval breaks no glass", (await glass.count()) === 0 && (await anna.getByRole("button", { name: "Use break-glass" }).count()) === 0);
await port(/tcp\/443/).uncheck();
await port(/tcp\/22/).check();
await glass.check();
check("it breaks the glass", (await send("Use break-glass")).breakGlass === true);
await anna.getByRole("button", { name: "Open another port" }).click();
await port(/tcp\/22/).uncheck();
await port(/tcp\/443/).check();
await anna.getByText("Opens without approval.").waitFor();
check("the next one does not", !(await send("Request access")).breakGlass);
await anna.getByRole("region", { name: "tcp/443" }).waitFor();
await browser.close();
if (faults.length) process.exit(1);
