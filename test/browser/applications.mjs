// Goes through both sides of a managed application. Every complaint of the browser, of its policy of content, and of axe is a
// fault.
import { check, faults, inspect, launch, person, portal, signIn } from "./lib.mjs";

const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const admin = await person(browser);
await signIn(admin, "admin", process.env.ADMIN_PASSWORD);
const vera = await person(browser);
vera.expected.push(/status of 40\d/); // the overview asks for what she may not see
await signIn(vera, "vera@vendor", process.env.ADMIN_PASSWORD);
vera.expected.length = 0;

// The customer deploys what is offered, and wants to be asked.
await admin.getByRole("link", { name: "Roles", exact: true }).click();
await admin.getByText("You are not eligible for any role").waitFor();
await admin.getByRole("link", { name: "Managed applications", exact: true }).click();
await admin.getByText("No managed applications").waitFor();
await inspect(admin, "applications, none");
await admin.getByRole("link", { name: "Offers", exact: true }).click();
await admin.getByRole("link", { name: "Deploy Web shop" }).click();
await admin.getByLabel("Name of the application").fill("our-shop");
await admin.getByRole("button", { name: "Next" }).click();
await admin.getByRole("button", { name: "Go to review" }).click();
await inspect(admin, "deploy");
await admin.getByRole("button", { name: "Deploy", exact: true }).click();
await admin.getByRole("heading", { level: 1, name: "our-shop" }).waitFor();
await admin.getByLabel("Approved").selectOption("manual");
await admin.getByLabel("For at most").selectOption({ label: "2 h" });
await admin.getByLabel("Person or group to add").fill("admin");
await admin.getByRole("button", { name: "Save settings" }).click();
await admin.getByText("Saved").waitFor();
await inspect(admin, "application, the customer's side");

// Two tabs of one person: what one began to change is bound to what it was, and is not written over the other's.
const tab = await admin.context().newPage();
await tab.goto(admin.url());
await tab.getByLabel("For at most").selectOption({ label: "1 h" });
await admin.getByLabel("For at most").selectOption({ label: "30 min" });
await admin.getByRole("button", { name: "Save settings" }).click();
await admin.getByText("Saved").waitFor();
await tab.getByText("The application has changed since you began editing.").waitFor();
await tab.getByRole("button", { name: "Save settings" }).click();
await tab.getByText("The settings were not saved").waitFor();
await inspect(tab, "application, changed meanwhile");
await tab.getByRole("button", { name: "Show current settings" }).click();
check("the other one's choice is shown", (await tab.getByLabel("For at most").inputValue()) === "1800");
await tab.getByLabel("For at most").selectOption({ label: "2 h" });
await tab.getByRole("button", { name: "Save settings" }).click();
await tab.getByText("Saved").waitFor();
await tab.close();

// The publisher changes the definition: the page says what that changes, and accepts what it showed, and nothing else.
const terms = { displayName: "Web shop", description: "A shop that its maker looks after", public: true, jit: { available: true, maxSeconds: 4 * 3600 } };
const publish = async (version, roles) => {
  const headers = { Origin: portal, "Sec-Fetch-Site": "same-origin" };
  const data = { ...terms, version, authorizations: roles.map((role) => ({ principal: "vera", role })) };
  const answer = await vera.context().request.put(portal + "/api/v1/application-definitions/shop", { headers, data });
  check("published: " + (await answer.text()), answer.ok());
};
await publish("1.1.0", ["Contributor", "Reader"]);
await admin.reload();
const update = admin.getByRole("region", { name: "Update to accept" });
await update.getByText("Gives Reader for the user vera, to activate, as your settings allow, for at most 4 h").waitFor();
check("nothing else changes", (await update.getByRole("listitem").count()) === 1);
await inspect(admin, "application, an update to accept");
await publish("1.2.0", ["Contributor", "Owner"]);
admin.expected.push(/status of 409/);
if (await update.getByRole("button", { name: "Accept version 1.1.0" }).isEnabled()) {
  await update.getByRole("button", { name: "Accept version 1.1.0" }).click();
  await update.getByText("The update was not accepted").waitFor();
}
await update.getByText("The publisher has changed the definition since you opened this page.").waitFor();
check("what was not shown cannot be accepted", await update.getByRole("button", { name: "Accept version 1.1.0" }).isDisabled());
admin.expected.length = 0;
await update.getByRole("button", { name: "Show current changes" }).click();
await update.getByText("Gives Owner for the user vera").waitFor();
check("the role that is gone is not shown", (await update.getByText("Reader").count()) === 0);
await update.getByRole("button", { name: "Accept version 1.2.0" }).click();
await update.waitFor({ state: "detached" });
await admin.getByRole("region", { name: "The publisher's roles" }).getByText("Owner").waitFor();

// Private addresses are of whoever runs the server: nobody else is offered them.
await vera.goto(portal + "/settings/channels/new");
await vera.locator("summary").click();
await vera.getByLabel(/^Certificate authorities to trust/).waitFor();
check("private addresses are not offered to another tenant", (await vera.getByLabel("The receiver may have a private address").count()) === 0);

// The publisher sees the terms and not the approvers, and asks.
await vera.goto(portal + "/applications");
await vera.getByRole("link", { name: /our-shop/ }).click();
await vera.getByText("approved by the customer").waitFor();
check("the publisher learns of no approver", !(await vera.getByRole("main").innerText()).includes("Approvers"));
await vera.getByRole("link", { name: "Activate a role" }).click();
await vera.getByRole("button", { name: "Activate Contributor" }).click();
await vera.getByLabel("Starting").selectOption("later");
await vera.getByLabel(/^Start /).fill("2040-01-02T10:00");
await vera.getByText(/^It ends/).waitFor();
await inspect(vera, "activate later");
await vera.getByLabel("Starting").selectOption("now");
await vera.getByLabel("Justification").fill("Mend the checkout");
await vera.getByRole("dialog").getByRole("button", { name: "Request activation" }).click();
await vera.getByRole("heading", { level: 1, name: "Your request" }).waitFor();
await inspect(vera, "a request for a role");

// The customer decides, and ends it.
await admin.reload();
await admin.getByRole("region", { name: "Waiting for your decision" }).getByRole("link", { name: /Mend the checkout/ }).click();
await admin.getByText("on the managed application our-shop").waitFor();
await inspect(admin, "decide on a role");
await admin.getByRole("button", { name: "Approve" }).click();
await vera.goto(portal + "/roles");
await vera.getByRole("button", { name: "Revoke Contributor" }).waitFor();
await vera.goto(portal + "/applications");
await vera.getByText("1 active").waitFor();
await inspect(vera, "applications, the publisher's side");
await vera.getByRole("link", { name: /our-shop/ }).click();
await vera.getByText("Mend the checkout").waitFor();
await inspect(vera, "application, the publisher's side");
await admin.goto(portal + "/");
await inspect(admin, "overview with a role");
await admin.goto(portal + "/applications");
await admin.getByRole("link", { name: /our-shop/ }).click();
await admin.getByRole("button", { name: "Revoke" }).click();
await admin.getByText("The publisher has no active roles.").waitFor();
const history = admin.getByRole("region", { name: "Request history" });
await history.getByText("Mend the checkout").waitFor();
await history.getByLabel("State of the requests").selectOption("Denied");
await history.getByText("None in this state.").waitFor();
await history.getByLabel("State of the requests").selectOption("Approved");
await history.getByText("Mend the checkout").waitFor();
await inspect(admin, "application with a history");
await admin.getByRole("button", { name: "Delete" }).click();
await inspect(admin, "delete an application");
for (const p of [admin, vera]) p.expected.push(/status of 404/); // both pages may look for it once more
await admin.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
await admin.getByText("No managed applications").waitFor();

await browser.close();
if (faults.length) process.exit(1);
