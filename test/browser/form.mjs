// Deploys managed applications by their forms: in two tabs, by keys alone, on a phone, and with a session that ends in the
// middle. Every complaint of the browser, of its policy of content, and of axe is a fault.
import { check, faults, inspect, launch, person, portal, signIn, until } from "./lib.mjs";

const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const admin = await person(browser);
const shots = process.env.POSTERN_SHOTS;
const shoot = async (page, name) => {
  if (!shots) return;
  for (const [width, height, colorScheme] of [[1440, 1000, "light"], [1440, 1000, "dark"], [390, 844, "dark"]]) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: true });
  }
};
const outside = [];
admin.context().on("request", (r) => { if (!r.url().startsWith(portal)) outside.push(r.url()); });
await signIn(admin, "admin", process.env.ADMIN_PASSWORD);
await admin.goto(portal + "/applications?tab=offers");
await admin.getByRole("link", { name: "Deploy Laboratory" }).click();
await admin.getByRole("heading", { level: 1, name: "Deploy Laboratory" }).waitFor();
await admin.getByRole("heading", { level: 2, name: "Basics" }).waitFor();
await inspect(admin, "form, basics");
await shoot(admin, "form-empty");
check("the package's links are links of https alone", (await admin.getByRole("link", { name: "its manual" }).getAttribute("href")) === "https://docs.example/lab");
check("others are text", (await admin.getByText("[this](javascript:alert(1))").count()) === 1 && (await admin.locator("main img, main script").count()) === 0);

// What is missing is said when somebody goes on, and what is wrong as one types.
await admin.getByRole("button", { name: "Next" }).click();
await admin.getByText("Site needs an answer").waitFor();
check("the field that needs an answer has the focus", await admin.getByLabel("Site").evaluate((e) => e === document.activeElement));
await admin.getByLabel("Site").fill("No");
await admin.getByText("Three to twelve small letters.").waitFor();
await inspect(admin, "form, a mistake");
await admin.getByLabel("Name of the application").fill("lab-one");
await admin.getByLabel("Site").fill("north");
await admin.getByText("Three to twelve small letters.").waitFor({ state: "detached" });

// The next step follows what was answered: its title, its defaults, and what is shown.
await admin.getByRole("navigation", { name: "Steps" }).getByText("Choose a size").waitFor();
await admin.getByRole("button", { name: "Next" }).click();
await admin.getByRole("heading", { level: 2, name: "Host of north" }).waitFor();
check("a default follows another answer", (await admin.getByLabel("Alias").inputValue()) === "north-l");
await admin.getByLabel("Size").selectOption({ label: "Small – 1 core" });
await until("the default follows as one types", async () => (await admin.getByLabel("Alias").inputValue()) === "north-s");
check("what is hidden is not there", (await admin.getByLabel("Why two").count()) === 0);
await admin.getByLabel("Two of everything").check();
await admin.getByLabel("Why two").fill("One is\nnot enough");
await admin.getByText("Production costs more.").waitFor({ state: "detached" });
await admin.getByLabel("Production").check();
await admin.getByText("Production costs more.").waitFor();
await admin.getByRole("spinbutton", { name: "Retention" }).fill("31");
await admin.getByText("Retention is a number from 1 to 30").waitFor();
await admin.getByRole("spinbutton", { name: "Retention" }).fill("14");
await admin.getByLabel("User name").fill("ops");
await admin.getByLabel("Password", { exact: true }).fill("short");
await admin.getByText("Eight letters and digits.").waitFor();
await admin.getByLabel("Password", { exact: true }).fill("longenough1");
await admin.getByLabel("Password, again").fill("longenough2");
await admin.getByText("The two do not match.").waitFor();
await admin.getByLabel("Password, again").fill("longenough1");
await admin.getByRole("button", { name: "Add a row to Disks" }).click();
await admin.getByRole("group", { name: "Disks, row 1" }).getByRole("textbox", { name: "Disk" }).fill("a-1");
await admin.getByText("Letters and digits.", { exact: true }).waitFor();
await admin.getByRole("group", { name: "Disks, row 1" }).getByRole("textbox", { name: "Disk" }).fill("a1");
await admin.getByRole("button", { name: "Add a row to Disks" }).click();
await admin.getByRole("group", { name: "Disks, row 2" }).getByRole("textbox", { name: "Disk" }).fill("b2");
await admin.getByRole("group", { name: "Disks, row 2" }).getByLabel("Kind").selectOption("Slow");
await inspect(admin, "form, host");
await shoot(admin, "form-host");

// A second tab has answers of its own.
const tab = await admin.context().newPage();
const offer = admin.url();
await tab.goto(offer);
await tab.getByLabel("Name of the application").fill("lab-two");
await tab.getByLabel("Site").fill("south");
await until("the answers are kept", () => tab.evaluate(() => JSON.stringify({ ...sessionStorage }).includes("south")));

// The session ends in the middle: what was typed is there afterwards, but for the password.
admin.expected.push(/status of 401/);
await admin.context().clearCookies();
await admin.getByLabel("Alias").fill("mine");
await admin.waitForURL(/sign-in/);
admin.expected.length = 0;
await admin.getByLabel("Name").fill("admin");
await admin.getByLabel("Password", { exact: true }).fill(process.env.ADMIN_PASSWORD);
await admin.getByRole("button", { name: "Sign in", exact: true }).click();
await admin.getByText("What you had typed here is back").waitFor();
check("the name is back", (await admin.getByLabel("Name of the application").inputValue()) === "lab-one");
await shoot(admin, "form-back");
await admin.getByRole("button", { name: "Next" }).click();
await admin.getByRole("heading", { level: 2, name: "Host of north" }).waitFor();
check("the answers are back", (await admin.getByLabel("Alias").inputValue()) === "mine" && (await admin.getByLabel("Why two").inputValue()) === "One is\nnot enough");
check("the rows are back", (await admin.getByRole("group", { name: "Disks, row 2" }).getByRole("textbox", { name: "Disk" }).inputValue()) === "b2");
check("no password is kept", (await admin.getByLabel("Password", { exact: true }).inputValue()) === "" && !(await admin.evaluate(() => JSON.stringify({ ...sessionStorage }))).includes("longenough1"));
await admin.getByRole("button", { name: "Next" }).click();
await admin.getByText("Password needs an answer").waitFor();
await admin.getByLabel("Password", { exact: true }).fill("longenough1");
await admin.getByLabel("Password, again").fill("longenough1");
await admin.getByRole("button", { name: "Next" }).click();

// What Azure's portal picks from its resources is typed by its parts.
await admin.getByRole("heading", { level: 2, name: "Network" }).waitFor();
const net = admin.getByRole("group", { name: "Network (optional)" });
await net.getByLabel("Name", { exact: true }).fill("vnet-1");
await net.getByLabel("Web subnet", { exact: true }).fill("web");
const address = admin.getByRole("group", { name: "Public address (optional)" });
check("an address that is not wanted asks for nothing", (await address.getByLabel("SKU").count()) === 0);
await address.getByLabel("Address").selectOption("new");
await address.getByLabel("SKU").waitFor();
await admin.getByLabel("Zone").fill("2");
await admin.getByLabel("tags").fill("Department = Finance");
await admin.getByText("Bold & plain").waitFor();
await inspect(admin, "form, network");
await shoot(admin, "form-network");
await admin.getByRole("button", { name: "Next" }).click();

// Just-in-time access is chosen during the deployment.
await admin.getByRole("heading", { level: 2, name: "JIT Configuration" }).waitFor();
await admin.getByLabel("Approved").selectOption("manual");
await admin.getByRole("button", { name: "Go to review" }).click();
await admin.locator("#form-page").getByRole("alert").waitFor();
check("manual approval without an approver stays here", await admin.getByRole("heading", { level: 2, name: "JIT Configuration" }).isVisible());
await admin.getByLabel("Person or group to add").fill("admin");
await admin.getByRole("button", { name: "Add", exact: true }).click();
await admin.getByLabel("For at most").selectOption({ label: "2 h" });
await inspect(admin, "form, just-in-time access");
await shoot(admin, "form-jit");
await admin.getByRole("button", { name: "Go to review" }).click();
await admin.getByRole("heading", { level: 2, name: "Review" }).waitFor();
await admin.getByText("just in time, approved by admin").waitFor();
await inspect(admin, "form, review");
await shoot(admin, "form-review");
check("no password is shown", !(await admin.getByRole("main").innerText()).includes("longenough1"));
await admin.getByRole("button", { name: "Deploy", exact: true }).click();
await admin.getByRole("heading", { level: 1, name: "lab-one" }).waitFor();
const made = await (await admin.context().request.get(portal + "/api/v1/applications/lab-one")).json();
const got = Object.fromEntries(Object.entries(JSON.parse(made.parameters)).map(([k, v]) => [k, v.value]));
const want = { site: "north", alias: "mine", size: "s", why: "One is\nnot enough", days: 14, tier: "p", zone: "2" };
for (const [k, v] of Object.entries(want)) check(`${k} is ${JSON.stringify(got[k])}`, got[k] === v);
check("the rows: " + JSON.stringify(got.disks), JSON.stringify(got.disks) === '[{"disk":"a1","kind":"ssd"},{"disk":"b2","kind":"hdd"}]');
check("the network: " + JSON.stringify(got.vnet), got.vnet.name === "vnet-1" && got.vnet.newOrExisting === "new" && got.vnet.subnets.web.name === "web");
check("the tags: " + JSON.stringify(got.tags), got.tags["Microsoft.Compute/virtualMachines"].Department === "Finance");
check("the settings", made.settings.approval === "manual" && made.settings.maxSeconds === 7200 && made.settings.approvers[0].name === "admin");

// The other tab's session ended as well: its own answers are back. It goes on by keys alone. A name that is taken is said while it is typed.
await tab.goto(offer);
await tab.getByText("What you had typed here is back").waitFor();
check("the other tab has its own answers", (await tab.getByLabel("Site").inputValue()) === "south");
await tab.getByLabel("Name of the application").fill("lab-one");
await tab.getByText("there is an application", { exact: false }).waitFor();
await tab.getByLabel("Name of the application").fill("lab-two");
await tab.keyboard.press("Enter");
await tab.getByRole("heading", { level: 2, name: "Host of south" }).waitFor();
const key = async (label, text) => {
  for (let i = 0; i < 60; i++) {
    const is = tab.getByLabel(label, { exact: true }).or(tab.getByRole("button", { name: label, exact: true }));
    if (await is.evaluateAll((all) => all.includes(document.activeElement))) {
      if (text) await tab.keyboard.type(text);
      return;
    }
    await tab.keyboard.press("Tab");
  }
  throw new Error("no key leads to " + label);
};
await key("User name", "ops");
await key("Password", "longenough1");
await key("Password, again", "longenough1");
await key("Add a row to Disks");
await tab.keyboard.press("Enter");
await tab.getByRole("group", { name: "Disks, row 1" }).waitFor();
await tab.keyboard.press("Shift+Tab");
await tab.keyboard.press("Shift+Tab");
await tab.keyboard.press("Shift+Tab");
await tab.keyboard.type("c3");
await tab.keyboard.press("Enter");
await tab.getByRole("heading", { level: 2, name: "Network" }).waitFor();
await key("Next");
await tab.keyboard.press("Enter");
await tab.getByRole("heading", { level: 2, name: "JIT Configuration" }).waitFor();
await key("Go to review");
await tab.keyboard.press("Enter");
await tab.getByRole("heading", { level: 2, name: "Review" }).waitFor();
await key("Deploy");
await tab.keyboard.press("Enter");
await tab.getByRole("heading", { level: 1, name: "lab-two" }).waitFor();

// The second definition asks for nothing: a name is enough. Permanent access is agreed to in so many words.
const phone = await person(browser, { viewport: { width: 390, height: 844 } });
await signIn(phone, "admin", process.env.ADMIN_PASSWORD);
await phone.goto(portal + "/applications?tab=offers");
await phone.getByRole("link", { name: "Deploy Web shop" }).click();
await phone.getByLabel("Name of the application").fill("our-shop");
await phone.getByRole("button", { name: "Next" }).click();
await phone.getByLabel("The publisher's access").selectOption("permanent");
await phone.getByRole("button", { name: "Go to review" }).click();
await phone.getByText("nobody approves, nothing expires").waitFor();
await inspect(phone, "form, permanent access");
await shoot(phone, "form-permanent");
await phone.setViewportSize({ width: 390, height: 844 });
check("nothing is deployed without agreement", await phone.getByRole("button", { name: "Deploy", exact: true }).isDisabled());
await phone.getByRole("button", { name: "Change JIT Configuration" }).click();
await phone.getByLabel("The publisher's access").selectOption("jit");
await phone.getByRole("button", { name: "Go to review" }).click();
await phone.getByText("just in time, approved automatically").waitFor();

// The publisher changes the definition meanwhile: what was not shown is not deployed.
const vera = await person(browser);
await signIn(vera, "vera@vendor", process.env.ADMIN_PASSWORD).catch(() => {});
const headers = { Origin: portal, "Sec-Fetch-Site": "same-origin" };
const data = { displayName: "Web shop", public: true, jit: { available: true }, version: "2.0.0", authorizations: [{ principal: "vera", role: "Owner" }] };
check("published", (await vera.context().request.put(portal + "/api/v1/application-definitions/shop", { headers, data })).ok());
phone.expected.push(/status of 409/);
await phone.getByText("The publisher has changed the definition since you began.").waitFor();
check("what was not shown cannot be deployed", await phone.getByRole("button", { name: "Deploy", exact: true }).isDisabled());
await phone.getByRole("button", { name: "Continue with the current version" }).click();
await phone.getByText("Owner for the user vera").waitFor();
await phone.getByRole("button", { name: "Deploy", exact: true }).click();
await phone.getByRole("heading", { level: 1, name: "our-shop" }).waitFor();

check("nothing was asked of anybody else: " + outside.join(" "), outside.length === 0);
await browser.close();
if (faults.length) { process.exit(1); }
