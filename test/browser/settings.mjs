// Goes through the settings as administrators do. Every complaint of the browser, of its policy of content, and of axe is a
// fault.
import { check, faults, inspect, launch, person, portal, signIn } from "./lib.mjs";

const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const nasty = `<img src=x onerror="document.title='owned'">`;
const admin = await person(browser);
await signIn(admin, "admin", process.env.ADMIN_PASSWORD);
const to = async (name, heading = name) => {
  await admin.getByRole("navigation", { name: "Settings" }).getByRole("link", { name, exact: true }).click();
  await admin.getByRole("heading", { level: 1, name: heading }).waitFor();
};
const button = (name) => admin.getByRole("button", { name, exact: true });
const dialog = admin.getByRole("dialog");
const within = (name) => dialog.getByRole("button", { name, exact: true });

await admin.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link", { name: "Settings" }).click();
await admin.getByRole("heading", { level: 1, name: "Settings" }).waitFor();
await inspect(admin, "settings");

// A person, whose one-time password lets them in once.
await admin.getByRole("main").getByRole("link", { name: /^People/ }).click();
await button("Add a person").click();
await inspect(admin, "add a person");
await admin.getByLabel("Name to sign in with").fill("dana");
await admin.getByLabel(/Full name/).fill(nasty);
await within("Add a person").click();
await admin.getByText("is valid for one sign-in").waitFor();
const first = (await dialog.locator("pre").innerText()).trim();
await inspect(admin, "one-time password");
await button("I have copied it").click();
await admin.getByRole("heading", { level: 2, name: "Profile" }).waitFor();
check("text of people stays text", (await admin.title()) !== "owned");
await admin.getByLabel("Full name").fill("Dana Novak");
await button("Save").click();
await admin.getByText("Saved").waitFor();
await inspect(admin, "person");
const dana = await person(browser);
dana.expected.push(/status of 40\d/);
await signIn(dana, "dana", first, "a long enough password 43");
await admin.getByRole("button", { name: "Reset password" }).click();
await within("Reset password").click();
await admin.getByText("It is valid for one sign-in").waitFor();
const second = (await dialog.locator("pre").innerText()).trim();
await button("I have copied it").click();
await dana.goto(portal + "/access");
await dana.waitForURL(/\/sign-in/); // a reset ends the session
await signIn(dana, "dana", second, "a long enough password 44");

// She changes it herself, with the present one alone.
await dana.goto(portal + "/account");
await dana.getByLabel("Current password").fill("not the password");
await dana.getByLabel("New password").fill("a long enough password 45");
await dana.getByLabel("Repeat password").fill("a long enough password 54");
await dana.getByText("The two passwords do not match.").waitFor();
await dana.getByLabel("Repeat password").fill("a long enough password 45");
await dana.getByRole("button", { name: "Change password" }).click();
await dana.getByRole("alert").waitFor();
await dana.getByLabel("Current password").fill("a long enough password 44");
await dana.getByRole("button", { name: "Change password" }).click();
await dana.getByText("The password was changed.").waitFor();
await inspect(dana, "account");
check("what she may not see is not offered", (await dana.goto(portal + "/settings")) && (await dana.getByRole("link", { name: /^People/ }).count()) === 0);
await inspect(dana, "settings of somebody without rights");

// Groups within groups.
await to("Groups");
for (const name of ["operators", "on-call"]) {
  await button("Add a group").click();
  await admin.getByLabel("Name", { exact: true }).fill(name);
  await within("Add a group").click();
  await admin.getByRole("heading", { level: 1, name }).waitFor();
  await admin.getByLabel("Person or group").fill(name === "operators" ? "dana" : "operators");
  await button("Add").click();
  await button(`Remove ${name === "operators" ? "dana" : "operators"}`).waitFor();
  if (name === "on-call") break;
  await to("Groups");
}
await inspect(admin, "group");
await admin.getByRole("list").getByRole("link", { name: "operators" }).click();
await admin.getByRole("heading", { level: 1, name: "operators" }).waitFor();
admin.expected.push(/status of 400/);
await admin.getByLabel("Person or group").fill("on-call");
await button("Add").click();
await admin.getByText(/cannot\s+contain\s+it/).waitFor();
admin.expected.length = 0;

// A service principal with a secret.
await to("Service principals");
await admin.getByText("No service principals yet").waitFor();
await button("Add a service principal").click();
await admin.getByLabel("Name", { exact: true }).fill("deploy-bot");
await within("Add a service principal").click();
await admin.getByText("None: the program cannot sign in.").waitFor();
await admin.getByRole("button", { name: "Add", exact: true }).click();
await admin.getByLabel(/^Name \(optional\)/).fill("pipeline");
await within("Add").click();
await admin.getByText("It is shown only once").waitFor();
await button("I have copied it").click();
await admin.getByText("pipeline").waitFor();
await inspect(admin, "service principal");

// A custom role, and who has it.
await to("Roles");
await inspect(admin, "roles");
await admin.getByRole("link", { name: "Create a role" }).click();
await admin.getByLabel("Name", { exact: true }).fill("Log reader");
await admin.getByLabel(/^Actions/).fill("Microsoft.Insights/eventtypes/values/read\nPostern.Access/alerts/read");
await inspect(admin, "new role");
await button("Create").click();
await admin.getByRole("link", { name: /Log reader/ }).click();
await admin.getByRole("link", { name: "Who has it" }).click();
await admin.getByText("No matching assignments").waitFor();
await button("Show UTC").click();
await button("Assign a role").click();
await admin.getByLabel("To", { exact: true }).fill("on-call");
await admin.getByLabel("Until (permanent, if empty; UTC)").fill("2037-06-01T18:00");
await admin.getByLabel(/^Scope/).fill("/");
await inspect(admin, "assign a role");
await within("Assign").click();
await button("Remove Log reader from on-call").waitFor();
await button("Show Europe/Berlin").click();
const given = (await (await admin.request.get(portal + "/api/v1/role-assignments?principal=on-call")).json()).items[0];
check("a role ends when the field says, in the zone that is shown: " + given.end, given.end === "2037-06-01T18:00:00Z");
await inspect(admin, "role assignments");
await dana.goto(portal + "/activity");
await dana.getByText("Following new records").waitFor();
await button("Remove Log reader from on-call").click();
await within("Remove").click();
await admin.getByText("No matching assignments").waitFor();

// An eligibility, which she activates and ends.
await to("Eligibilities");
await admin.getByText("No eligibilities yet").waitFor();
await button("Add an eligibility").click();
await admin.getByLabel("Person or group").fill("operators");
await admin.getByLabel("Role", { exact: true }).selectOption("Log reader");
await admin.getByLabel(/^Scope/).fill("/");
await inspect(admin, "new eligibility");
await within("Add").click();
await button("Remove Log reader from operators").waitFor();
await inspect(admin, "eligibilities");
await dana.goto(portal + "/roles");
await dana.getByRole("button", { name: "Activate Log reader" }).click();
await dana.getByLabel("Justification").fill("Look who was on web-1");
await inspect(dana, "activate a role");
await dana.getByRole("dialog").getByRole("button", { name: "Activate" }).click();
await dana.getByRole("button", { name: "Revoke Log reader" }).waitFor();
await inspect(dana, "roles");
check("the role counts", (await dana.context().request.get(portal + "/api/v1/events")).ok());
await dana.getByRole("button", { name: "Revoke Log reader" }).click();
await dana.getByRole("button", { name: "Activate Log reader" }).waitFor();
check("it counts no more", (await dana.context().request.get(portal + "/api/v1/events")).status() === 403);
await dana.getByText("Look who was on web-1").waitFor();

// Named networks.
await to("Named networks");
await button("Add a network").click();
await admin.getByLabel("Name", { exact: true }).fill("office");
admin.expected.push(/status of 400/);
await admin.getByLabel(/^Prefixes/).fill("203.0.113.1/24");
await within("Save").click();
await dialog.getByRole("alert").waitFor();
admin.expected.length = 0;
await inspect(admin, "a refused network");
await admin.getByLabel(/^Prefixes/).fill("203.0.113.0/24\n2001:db8:40::/48");
await within("Save").click();
await admin.getByText("203.0.113.0/24, 2001:db8:40::/48").waitFor();
await inspect(admin, "networks");

// One that is there is changed, and not added once more.
await button("Add a network").click();
await admin.getByLabel("Name", { exact: true }).fill("Office");
await admin.getByLabel(/^Prefixes/).fill("198.51.100.0/24");
admin.expected.push(/status of 409/);
await within("Save").click();
await dialog.getByText(/there\s+is\s+a\s+network\s+office\s+already/i).waitFor();
admin.expected.length = 0;
await inspect(admin, "a network that is there");
await within("Cancel").click();
await admin.getByText("203.0.113.0/24, 2001:db8:40::/48").waitFor();
await button("Change office").click();
await dialog.getByText(/from\s+an\s+address\s+that\s+it\s+no\s+longer\s+has\s+ends/).waitFor();
await within("Cancel").click();

// What another tab has changed since is not written over.
await button("Change office").click();
const tab = await admin.context().newPage();
await tab.goto(portal + "/settings/networks");
await tab.getByRole("button", { name: "Change office" }).click();
await tab.getByLabel(/^Prefixes/).fill("203.0.113.0/25");
await tab.getByRole("dialog").getByRole("button", { name: "Save", exact: true }).click();
await tab.getByText("203.0.113.0/25", { exact: true }).waitFor();
await tab.close();
admin.expected.push(/status of 409/);
await within("Save").click();
await dialog.getByText(/network\s+office\s+has\s+changed/).waitFor();
admin.expected.length = 0;
await within("Cancel").click();
await admin.getByText("203.0.113.0/25", { exact: true }).waitFor();

// A token, shown once.
await to("API tokens");
await button("Create a token").click();
await admin.getByLabel("What it is for").fill("nightly report");
await admin.getByLabel("May", { exact: true }).selectOption("read");
await inspect(admin, "new token");
await within("Create").click();
const token = (await dialog.locator("pre").innerText()).trim();
await button("I have copied it").click();
const asToken = { headers: { Authorization: "Bearer " + token, Cookie: "" } };
check("the token reads", (await dana.context().request.get(portal + "/api/v1/networks", asToken)).ok());
await inspect(admin, "tokens");
await button("Revoke nightly report").click();
await within("Revoke").click();
await admin.getByText("You have no API tokens").waitFor();
check("the token is over", (await dana.context().request.get(portal + "/api/v1/networks", asToken)).status() === 401);

// A channel that nobody listens to: the test says why, and a subscription makes a dead letter that can be sent again.
await to("Channels");
await admin.getByRole("link", { name: "Add a channel" }).click();
await inspect(admin, "new channel, mail");
await admin.getByLabel("Kind").selectOption("webhook");
await admin.getByLabel("Name", { exact: true }).fill("ops");
await admin.getByLabel("Address", { exact: true }).fill("https://10.77.0.1:9/hook");
await admin.getByLabel(/^Signing key/).fill("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
await admin.locator("summary").click();
await admin.getByLabel("The receiver may have a private address").check();
await button("Add").click();
await admin.getByRole("heading", { level: 1, name: "ops" }).waitFor();
admin.expected.push(/status of 5\d\d|status of 40\d/);
await button("Send a test message").click();
await admin.getByText("The message did not arrive").waitFor();
admin.expected.length = 0;
await inspect(admin, "channel");
await to("Channels");
await inspect(admin, "channels");
await to("Subscriptions");
await button("Subscribe").click();
await admin.getByLabel("Channel", { exact: true }).selectOption("ops");
await admin.getByLabel("For", { exact: true }).selectOption("all");
await admin.getByLabel("Break-glass access is used").check();
await inspect(admin, "subscribe");
await within("Subscribe").click();
await admin.getByText("Everyone").waitFor();
await inspect(admin, "subscriptions");
await to("Deliveries");
await admin.getByRole("link", { name: "Dead letters" }).click();
await admin.getByText("No dead letters").waitFor();
await inspect(admin, "deliveries");

// Agents, and a token that is withdrawn.
await to("Agents");
await admin.getByText("Connected").waitFor();
await button("Enroll an agent").click();
await admin.getByLabel(/^Name/).fill("web-9");
await button("Show the commands").click();
await admin.getByText("is not shown again").waitFor();
await button("Close").click();
await button("Delete the token for web-9").waitFor();
await inspect(admin, "agents");
await button("Delete the token for web-9").click();
await within("Delete").click();
await button("Delete the token for web-9").waitFor({ state: "detached" });

// Checkpoints: one that was kept is a beginning of the log, and a changed one is not signed.
await to("Checkpoints");
await admin.getByText("Signature verified").waitFor();
const [file] = await Promise.all([admin.waitForEvent("download"), button("Download the newest").click()]);
const kept = Buffer.concat(await (await file.createReadStream()).toArray()).toString();
await admin.context().request.put(portal + "/api/v1/networks/more", { headers: { Origin: portal, "Sec-Fetch-Site": "same-origin" }, data: { prefixes: ["192.0.2.0/24"] } });
await admin.getByLabel(/kept checkpoint/).fill(kept);
await button("Compare").click();
await admin.getByText(/begins\s+with\s+the\s+same/).waitFor();
await inspect(admin, "checkpoints");
await admin.getByLabel(/kept checkpoint/).fill(kept.replace(/\n(\d+)\n/, (_, n) => `\n${Number(n) - 1}\n`));
await button("Compare").click();
await admin.getByText(/not\s+signed\s+with\s+the\s+key/).waitFor();

// Disabling ends everything at once.
await to("People");
await admin.getByRole("main").getByRole("link", { name: /Dana Novak/ }).click();
await button("Disable").click();
await within("Disable").click();
await button("Enable").waitFor();
await dana.goto(portal + "/access");
await dana.waitForURL(/\/sign-in/);

await browser.close();
if (faults.length) process.exit(1);
