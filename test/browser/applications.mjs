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
await admin.getByText("You are not eligible for a role").waitFor();
await admin.getByRole("link", { name: "Managed applications", exact: true }).click();
await admin.getByText("There is no managed application").waitFor();
await inspect(admin, "applications, none");
await admin.getByRole("link", { name: "Offers", exact: true }).click();
await admin.getByRole("button", { name: "Deploy Web shop" }).click();
await inspect(admin, "deploy");
await admin.getByLabel("Name of the application").fill("our-shop");
await admin.getByRole("dialog").getByRole("button", { name: "Deploy" }).click();
await admin.getByRole("heading", { level: 1, name: "our-shop" }).waitFor();
await admin.getByLabel("Approved").selectOption("manual");
await admin.getByLabel("For at most").selectOption({ label: "2 h" });
await admin.getByLabel("Person or group to add").fill("admin");
await admin.getByRole("button", { name: "Save the terms" }).click();
await admin.getByText("Saved").waitFor();
await inspect(admin, "application, the customer's side");

// Private addresses are of whoever runs the server: nobody else is offered them.
await vera.goto(portal + "/settings/channels/new");
await vera.locator("summary").click();
await vera.getByLabel(/^Authorities to trust/).waitFor();
check("private addresses are not offered to another tenant", (await vera.getByLabel("The receiver may have a private address").count()) === 0);

// The publisher sees the terms and not the approvers, and asks.
await vera.goto(portal + "/applications");
await vera.getByRole("link", { name: /our-shop/ }).click();
await vera.getByText("approved by the customer").waitFor();
check("the publisher learns of no approver", !(await vera.getByRole("main").innerText()).includes("Approvers"));
await vera.getByRole("link", { name: "Activate a role" }).click();
await vera.getByRole("button", { name: "Activate Contributor" }).click();
await vera.getByLabel("Justification").fill("Mend the checkout");
await vera.getByRole("dialog").getByRole("button", { name: "Ask for it" }).click();
await vera.getByRole("heading", { level: 1, name: "Your request" }).waitFor();
await inspect(vera, "a request for a role");

// The customer decides, and ends it.
await admin.reload();
await admin.getByRole("link", { name: /Mend the checkout/ }).click();
await admin.getByText("has the role").waitFor();
await inspect(admin, "decide on a role");
await admin.getByRole("button", { name: "Approve" }).click();
await vera.goto(portal + "/roles");
await vera.getByRole("button", { name: "End Contributor now" }).waitFor();
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
await admin.getByRole("button", { name: "End now" }).click();
await admin.getByText("Nobody of the publisher has access now.").waitFor();
await admin.getByRole("button", { name: "Delete" }).click();
await inspect(admin, "delete an application");
for (const p of [admin, vera]) p.expected.push(/status of 404/); // both pages may look for it once more
await admin.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
await admin.getByText("There is no managed application").waitFor();

await browser.close();
if (faults.length) process.exit(1);
