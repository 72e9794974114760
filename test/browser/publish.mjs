// Makes, changes, publishes and withdraws definitions of managed applications: two of them, in two tabs, by two people.
// Every complaint of the browser, of its policy of content, and of axe is a fault.
import { readFileSync } from "node:fs";
import { check, faults, inspect, launch, person, portal, signIn, until } from "./lib.mjs";

const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const shots = process.env.POSTERN_SHOTS;
const shoot = async (page, name) => {
  if (!shots) return;
  for (const [width, height, colorScheme] of [[1440, 1000, "light"], [1440, 1000, "dark"], [390, 844, "dark"]]) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: true });
  }
};
const vera = await person(browser);
vera.expected.push(/status of 40\d/); // the overview asks for what she may not see
await signIn(vera, "vera@vendor", process.env.ADMIN_PASSWORD);
await vera.goto(portal + "/applications?tab=definitions");
await vera.getByRole("link", { name: "Web shop" }).waitFor();
vera.expected.length = 0;
await inspect(vera, "definitions");
await shoot(vera, "definitions");

// A new one, with a form that has mistakes: they are shown with their lines.
await vera.getByRole("link", { name: "New definition" }).click();
await vera.getByRole("heading", { level: 1, name: "New definition" }).waitFor();
await inspect(vera, "new definition");
await shoot(vera, "definition-new");
check("just-in-time access is offered unless somebody says otherwise", await vera.getByLabel("Enable just-in-time access").isChecked());
await vera.getByLabel("Name", { exact: true }).fill("lab");
await vera.getByLabel("Display name").fill("Laboratory");
await vera.getByLabel("every tenant of this server").check();
await vera.getByLabel("Longest activation").selectOption({ label: "2 h" });
await vera.getByRole("group", { name: "Role 1" }).getByLabel("Person, group or service principal").fill("vera");
const good = readFileSync("testdata/lab.json", "utf8");
const bad = good.replace("Microsoft.Common.Slider", "Microsoft.Common.Lever").replace("[steps('host').ha]", "[steps('host')..ha]");
await vera.getByLabel("File createUiDefinition.json").setInputFiles({ name: "createUiDefinition.json", mimeType: "application/json", buffer: Buffer.from(bad) });
await vera.getByText("The form has 2 mistakes and cannot be published.").waitFor();
const line = bad.split("\n").findIndex((l) => l.includes("Lever")) + 1;
await vera.getByRole("button", { name: `Go to line ${line}`, exact: true }).click();
check("the line of the mistake is selected", (await vera.getByLabel("Form as JSON").evaluate((e) => e.value.slice(e.selectionStart, e.selectionEnd))).includes("Lever"));
await inspect(vera, "a form with mistakes");
await shoot(vera, "definition-mistakes");
vera.expected.push(/status of 400/, /status of 422/);
await vera.getByRole("button", { name: "Publish", exact: true }).click();
await vera.getByText("The definition was not saved").waitFor();
vera.expected.length = 0;

// What was typed is there after the session ended.
await vera.reload();
await vera.getByText("What you had typed here is back.").waitFor();
check("the name is back", (await vera.getByLabel("Display name").inputValue()) === "Laboratory");

// Mended, it is looked at as customers see it.
await vera.getByLabel("File createUiDefinition.json").setInputFiles({ name: "createUiDefinition.json", mimeType: "application/json", buffer: Buffer.from(good) });
await vera.getByRole("button", { name: "Preview" }).click();
const preview = vera.getByRole("region", { name: "Preview of the form" });
await preview.getByLabel("Site").fill("X");
await preview.getByText("Three to twelve small letters.").waitFor();
await preview.getByLabel("Site").fill("north");
await preview.getByRole("button", { name: "Next" }).click();
await preview.getByRole("heading", { name: "Host of north" }).waitFor();
await inspect(vera, "preview");
await shoot(vera, "definition-preview");
await vera.getByRole("button", { name: "Save without publishing" }).click();
await vera.getByText("Nobody can deploy it until you publish it.").waitFor();
await vera.getByRole("heading", { level: 1, name: "Laboratory" }).waitFor();

// The customer is not offered it until it is published.
const admin = await person(browser);
await signIn(admin, "admin", process.env.ADMIN_PASSWORD);
await admin.goto(portal + "/applications?tab=offers");
await admin.getByText("Web shop").waitFor();
check("what is not published is not deployed", (await admin.getByRole("link", { name: "Deploy Laboratory" }).count()) === 0);
await vera.getByRole("button", { name: "Publish", exact: true }).click();
await vera.getByText("Published.", { exact: true }).waitFor();
await admin.getByRole("link", { name: "Deploy Laboratory" }).waitFor();

// Two tabs: what one writes is not written over by the other.
const tab = await vera.context().newPage();
await tab.goto(vera.url());
await tab.getByLabel("Description").fill("From the other tab");
await vera.getByLabel("Description").fill("From this tab");
await vera.getByLabel("Next version").fill("2.0.0");
await vera.getByRole("button", { name: "Save as a new version" }).click();
await vera.getByText("Saved. Customers keep what they have").waitFor();
await tab.getByText("The definition has changed since you began editing (version 2.0.0 now).").waitFor();
await tab.getByRole("button", { name: "Save as a new version" }).click();
await tab.getByText("The definition was not saved").waitFor();
await inspect(tab, "definition, changed meanwhile");
await tab.getByRole("button", { name: "Show current definition" }).click();
check("the other one's text is shown", (await tab.getByLabel("Description").inputValue()) === "From this tab");
await tab.getByLabel("Require it").check();
await tab.getByRole("button", { name: "Add a role" }).click();
await tab.getByRole("group", { name: "Role 2" }).getByLabel("Person, group or service principal").fill("nobody");
await tab.getByRole("button", { name: "Save as a new version" }).click();
await tab.getByText("there is no principal", { exact: false }).first().waitFor();
await tab.getByRole("button", { name: "Remove role 2" }).click();
await tab.getByRole("button", { name: "Save as a new version" }).click();
await tab.getByText("Saved. Customers keep what they have").waitFor();
await tab.getByRole("region", { name: "Versions" }).getByText("2.0.1").waitFor();
const now = await (await vera.context().request.get(portal + "/api/v1/application-definitions/lab")).json();
check("the terms: " + JSON.stringify(now.jit), now.jit.required && now.jit.maxSeconds === 7200 && now.public && now.lockLevel === "ReadOnly" && now.description === "From this tab");
await shoot(tab, "definition");

// Withdrawn, it is offered no more; deleted, it is gone.
await tab.getByRole("button", { name: "Withdraw" }).click();
await tab.getByText("Withdrawn. Applications of it go on as they are.").waitFor();
await until("it is not offered any more", async () => (await admin.getByRole("link", { name: "Deploy Laboratory" }).count()) === 0);
await tab.getByRole("button", { name: "Delete" }).click();
await inspect(tab, "delete a definition");
for (const p of [vera, tab]) p.expected?.push(/status of 404/);
await vera.goto(portal + "/applications?tab=definitions");
await tab.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
await tab.getByRole("link", { name: "Web shop" }).waitFor();
await until("it is gone", async () => (await vera.getByRole("link", { name: "Laboratory" }).count()) === 0);

await browser.close();
if (faults.length) process.exit(1);
