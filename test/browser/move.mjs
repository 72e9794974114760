// Access that is open from another address than the browser's is used from here: the one that was meant, and no other.
import { readFileSync } from "node:fs";
import { check, faults, inspect, launch, person, portal, signIn, until } from "./lib.mjs";

const { ADMIN_PASSWORD, ANNA_PASSWORD, LOOK } = process.env;
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const anna = await person(browser);
let shots = 0;
const look = async (name) => {
  await inspect(anna, name);
  if (!LOOK) return;
  await anna.screenshot({ path: `${LOOK}/move-${++shots}.png` });
  await anna.setViewportSize({ width: 390, height: 844 });
  await anna.emulateMedia({ colorScheme: "dark" });
  await anna.screenshot({ path: `${LOOK}/move-${shots}-phone.png` });
  await anna.setViewportSize({ width: 1440, height: 900 });
  await anna.emulateMedia({ colorScheme: "light" });
};
anna.expected.push(/403/); // the one-time password asks for a new one
await signIn(anna, "anna", ANNA_PASSWORD, "a long enough password 42");
anna.expected.length = 0;
const get = async (path) => (await anna.request.get(portal + "/api/v1" + path)).json();
const post = async (path, data) => (await anna.request.post(portal + "/api/v1" + path, { data, headers: { Origin: portal } })).json();
const { address: here } = await get("/me");
const away = "203.0.113.7";
const made = await post("/requests", {
  forSeconds: 1800, justification: "upgrade",
  items: [["web-1", "22"], ["db-1", "22"], ["db-1", "3389"]].map(([machine, ports]) => ({ machine, ports, sources: [away] })),
});
check("three ports are open", made.grants?.length === 3);
const active = async (n) => until(`${n} are active`, async () => (await get("/grants?principal=me&state=active")).items.length === n);
await active(3);

// My access: each row has its own button, and moving one leaves the others.
await anna.goto(portal + "/access");
const rows = anna.getByRole("region", { name: "Active" }).getByRole("listitem");
const row = (machine, port) => rows.filter({ hasText: machine }).filter({ hasText: "tcp/" + port });
await row("web-1", 22).getByRole("button", { name: "Use from here" }).waitFor();
check("each of the three has the button", (await rows.getByRole("button", { name: "Use from here" }).count()) === 3);
await row("web-1", 22).getByRole("button", { name: "Use from here" }).click();
const dialog = anna.getByRole("dialog", { name: "Use tcp/22 of web-1 from here" });
await dialog.getByText(away, { exact: true }).waitFor();
await dialog.getByText(here, { exact: true }).waitFor();
await look("the dialog that moves access");
await dialog.getByRole("button", { name: "Not now" }).click();
await dialog.waitFor({ state: "detached" });
check("nothing has moved", (await get("/grants?principal=me&state=active")).items.every((g) => g.sources[0] === away + "/32"));
await row("web-1", 22).getByRole("button", { name: "Use from here" }).press("Enter");
await dialog.getByRole("button", { name: "Use from here" }).press("Enter");
await row("web-1", 22).filter({ hasText: "from " + here }).waitFor();
await row("web-1", 22).getByRole("button", { name: "Use from here" }).waitFor({ state: "detached" });
check("the others have not moved", (await rows.filter({ hasText: "from " + away }).count()) === 2);
const old = made.grants.find((g) => g.machine === "web-1");
const was = await get("/grants/" + old.id);
check("the end stays, and the old grant names what took its place", was.state === "superseded" && was.reason.startsWith("moved to " + here));
const [is] = (await get("/grants?principal=me&machine=web-1&state=opening,active")).items;
check("it counts on", is.movedFrom === old.id && is.end === old.end && is.since === old.start);
await look("my access, one moved");

// The page of the machine: what the port is for, and the rule that wants a decision for another address.
await anna.goto(portal + "/machines/db-1/connect");
const desktop = anna.getByRole("region", { name: "tcp/3389" });
const [download] = await Promise.all([anna.waitForEvent("download"), desktop.getByRole("button", { name: "Download db-1.rdp" }).click()]);
check("the file opens the machine", /^full address:s:[0-9a-f.:[\]]+:3389\r\nprompt/.test(readFileSync(await download.path(), "utf8")));
const shell = anna.getByRole("region", { name: "tcp/22" });
check("the command is for SSH", /^ssh [0-9a-f.:]+$/.test((await shell.getByLabel("How to connect").innerText()).trim()));
check("a port for SSH has no file", (await shell.getByRole("button", { name: /\.rdp/ }).count()) === 0);
await look("connect, two ports open from elsewhere");
await shell.getByRole("button", { name: "Use from here" }).click();
await anna.getByRole("dialog").getByRole("button", { name: "Use from here" }).click();
await anna.waitForURL(/\/requests\//);
await anna.getByText("Pending", { exact: true }).first().waitFor();
check("the old address stays until somebody agrees", (await get("/grants?principal=me&machine=db-1&state=active")).items.every((g) => g.sources[0] === away + "/32"));

// What nothing guards can be guarded from its own page, by who may.
await anna.goto(portal + "/machines/spare-1/connect");
await anna.getByText(/no guarded ports/).waitFor();
check("who may not is offered nothing", (await anna.getByRole("link", { name: "Enable just-in-time access" }).count()) === 0);
const admin = await person(browser);
await signIn(admin, "admin", ADMIN_PASSWORD);
await admin.goto(portal + "/machines/spare-1/connect");
await admin.getByRole("link", { name: "Enable just-in-time access" }).click();
await admin.getByRole("heading", { level: 1, name: /Enable just-in-time access/ }).waitFor();

await browser.close();
if (faults.length) process.exit(1);
