// Goes from the first start to the first guarded machine in three steps, running the very commands that the page shows.
import { check, faults, inspect, launch, person, portal, reaches, signIn, until } from "./lib.mjs";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const { ADMIN_PASSWORD, PROFILE, WEB } = process.env;
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const admin = await person(browser);
await signIn(admin, "admin", ADMIN_PASSWORD);
await admin.getByRole("heading", { name: "Guard your first machine" }).waitFor();
await inspect(admin, "first start");

await admin.getByLabel(/^Name/).fill("first-1");
await admin.getByRole("button", { name: "Show the commands" }).click();
const commands = await admin.getByLabel("Commands for the machine").innerText();
check("the commands are whole: " + commands, commands.includes("BEGIN CERTIFICATE") && commands.includes("/install/agent.sh") && commands.includes("sudo sh postern-install.sh"));
await admin.getByText("Waiting for it to enroll…").waitFor();
await inspect(admin, "first start, commands");
// The test's other half runs them where the machine is, and starts the agent as systemd would.
writeFileSync(join(PROFILE, "commands.sh"), commands);
await admin.getByText("Choose the ports to guard").waitFor();
await admin.getByRole("link", { name: /Choose the ports of/ }).click({ timeout: 60_000 });
await admin.getByText("What changes in the firewall").waitFor();
check("the port is open as long as nothing guards it", await reaches(WEB));
await admin.getByRole("button", { name: "Enable" }).click();
await admin.getByRole("heading", { level: 1, name: "first-1" }).waitFor();
await until("the port is shut in the kernel", async () => !(await reaches(WEB)));

await admin.getByRole("link", { name: "Overview", exact: true }).click();
await inspect(admin, "first start, third step");
await admin.getByRole("link", { name: "Connect to first-1" }).click();
await admin.getByText("Opens without approval.").waitFor();
await admin.getByRole("button", { name: "Request access" }).click();
await until("the port is open in the kernel", () => reaches(WEB));
await admin.getByText("ssh ").first().waitFor();
await admin.getByRole("link", { name: "Overview", exact: true }).click();
await admin.getByRole("heading", { name: "Open now" }).waitFor();
await admin.getByRole("link", { name: "first-1" }).first().waitFor();
check("the steps are done", (await admin.getByRole("heading", { name: "Guard your first machine" }).count()) === 0);

await browser.close();
if (faults.length) process.exit(1);
