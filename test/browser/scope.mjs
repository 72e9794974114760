// Machines that one policy of a subscription guards: what the pages say of it, and a policy of a machine over it.
import { check, faults, inspect, launch, person, portal, signIn, until } from "./lib.mjs";

const { ADMIN_PASSWORD } = process.env;
const browser = await launch();
process.on("exit", (code) => {
  if (code) console.error(faults.join("\n"));
});
const admin = await person(browser);
await signIn(admin, "admin", ADMIN_PASSWORD);
const button = (name) => admin.getByRole("button", { name, exact: true });

// Both are asked for at once, each with a port of the policy that guards both.
await admin.goto(portal + "/ask?machine=web-1&machine=web-2");
const from = admin.getByText("from the policy everything, by the subscription");
await from.nth(3).waitFor(); // two ports of two machines
for (const port of await admin.getByRole("checkbox", { name: /tcp\/443/ }).all()) await port.check();
await admin.getByLabel(/Justification/).fill("patches");
await inspect(admin, "asking by a scope policy");
const sent = admin.waitForRequest((r) => r.method() === "POST" && r.url().endsWith("/api/v1/requests"));
await button("Request access").click();
check("two ports of two machines are asked for", (await sent).postDataJSON().items.length === 4);

// A policy of the machine itself comes first, for the ports that it names alone.
await admin.goto(portal + "/machines/web-1");
const ports = admin.getByRole("region", { name: "Guarded ports" });
await ports.getByText("everything, by the subscription").waitFor();
check("a policy of a scope is not taken away here", (await button("Stop guarding").count()) === 0);
await inspect(admin, "a machine guarded by a scope policy");
await admin.goto(portal + "/machines/web-1/guard");
await admin.getByText(/The policy everything, by the subscription, guards this machine now/).waitFor();
await admin.getByRole("button", { name: /^Remove/ }).first().click(); // the row of port 22
await inspect(admin, "a policy over that of a scope");
await button("Save").click();
await ports.getByText("everything, by the subscription").waitFor();
check("it guards both ports", (await ports.getByRole("listitem").count()) === 2);

// Without it, the policy of the scope guards what it guarded.
await button("Remove its own policy").click();
const dialog = admin.getByRole("dialog");
await dialog.getByText(/The policy everything, by the subscription, guards tcp\/22, tcp\/443 instead/).waitFor();
await inspect(admin, "removing a policy over that of a scope");
await dialog.getByRole("button", { name: "Remove", exact: true }).click();
await until("its own policy is gone", async () => (await button("Remove its own policy").count()) === 0);
await ports.getByText("everything, by the subscription").waitFor();

await browser.close();
if (faults.length) process.exit(1);
