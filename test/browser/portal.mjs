// Goes through the pages of the log and the command palette as people do. Every complaint of the browser, of its policy of
// content, and of axe is a fault.
import { check, faults, inspect, launch, person, portal, signIn } from "./lib.mjs";

const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const admin = await person(browser);
await signIn(admin, "admin", process.env.ADMIN_PASSWORD);

// The log, its filter and its address.
await admin.getByRole("link", { name: "Activity", exact: true }).click();
await admin.getByText("policy.written").first().click();
await inspect(admin, "activity");
await admin.getByLabel("Kind").fill("grant.opened");
await admin.getByRole("button", { name: "Filter" }).click();
await admin.getByText("policy.written").first().waitFor({ state: "detached" });
check("the filter has an address", new URL(admin.url()).searchParams.get("kind") === "grant.opened");
const [file] = await Promise.all([admin.waitForEvent("download"), admin.getByRole("button", { name: "Download as CSV" }).click()]);
const text = await (await file.createReadStream()).toArray();
check("the file has the openings", Buffer.concat(text).toString().trim().split("\r\n").length >= 3);
await admin.goBack();
await admin.getByText("policy.written").first().waitFor();

// The command palette reaches any page and machine by the keyboard alone.
await admin.keyboard.press("Control+k");
await admin.getByRole("combobox", { name: "Page or machine" }).fill("web");
await admin.getByRole("option", { name: "Request access to web-1" }).waitFor();
await inspect(admin, "command palette");
await admin.keyboard.press("Enter");
await admin.getByRole("heading", { level: 1, name: "web-1" }).waitFor();
await admin.keyboard.press("Control+k");
await admin.keyboard.type("nothing like that");
await admin.getByText("No page or machine begins with").waitFor();
await admin.keyboard.press("Escape");
await admin.setViewportSize({ width: 390, height: 844 });
await admin.getByRole("button", { name: "More" }).click();
await admin.getByRole("option", { name: "Activity" }).click();
await admin.getByRole("heading", { level: 1, name: "Activity" }).waitFor();
await admin.setViewportSize({ width: 1440, height: 900 });

await browser.close();
if (faults.length) process.exit(1);
