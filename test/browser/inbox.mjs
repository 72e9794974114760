// Notifications: two people, one on a phone and one with keys alone, hear of one request as it goes.
import { check, faults, inspect, launch, person, portal, signIn, until } from "./lib.mjs";

const { ANNA_PASSWORD, BEN_PASSWORD, CLEO_PASSWORD, LOOK } = process.env;
const own = "a long enough password 42";
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const anna = await person(browser, { viewport: { width: 390, height: 844 } });
const ben = await person(browser);
const cleo = await person(browser);
for (const page of [anna, ben, cleo]) page.expected.push(/403/); // a one-time password asks for a new one
await signIn(anna, "anna", ANNA_PASSWORD, own);
await signIn(ben, "ben", BEN_PASSWORD, own);
await signIn(cleo, "cleo", CLEO_PASSWORD, own);
for (const page of [anna, ben, cleo]) page.expected.length = 0;
const look = async (page, name) => { if (LOOK) await page.screenshot({ path: `${LOOK}/inbox-${name}.png` }); };
const bell = (page) => page.getByRole("button", { name: /^Notifications/ });
const badge = (page, n) => page.getByRole("button", { name: n ? `Notifications, ${n} unread` : "Notifications", exact: true }).waitFor();
const panel = (page) => page.getByRole("dialog", { name: "Notifications" });
const post = (page, path, body) => page.evaluate(async ([path, body]) => {
  const answer = await fetch("/api/v1" + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return answer.json();
}, [path, body]);
const request = (machine, forSeconds) => ({ items: [{ machine, ports: "22" }], forSeconds, justification: "vacuum the orders table" });

// Each has changed a password, and is told so: whoever did it in their name could not hide it.
await badge(anna, 1);
await bell(anna).click();
await panel(anna).getByRole("link", { name: "Your password was changed" }).waitFor();
await badge(anna, 0);
await anna.keyboard.press("Escape");
await panel(anna).waitFor({ state: "detached" });
for (const page of [ben, cleo]) {
  await bell(page).press("Enter");
  await badge(page, 0);
  await page.keyboard.press("Escape");
}

// A short access, which is about to end by the time that the rest is done.
const short = await post(anna, "/requests", request("web-1", 100));
check("it was approved at once", short.state === "approved");

// Ben is asked while he looks at another page, and goes there by keys alone.
await ben.goto(portal + "/machines");
const asked = await post(anna, "/requests", request("db-1", 3600));
check("it waits", asked.state === "pending");
await badge(ben, 1);
await badge(cleo, 1);
await bell(ben).focus();
await ben.keyboard.press("Enter");
const question = panel(ben).getByRole("link", { name: /^Decision needed: anna asks for access to db-1/ });
await question.waitFor();
await look(ben, "asked-desk");
await inspect(ben, "the panel of whoever decides");
await badge(ben, 0);
await ben.keyboard.press("Escape");
await panel(ben).waitFor({ state: "detached" });
check("the bell has the focus again", await bell(ben).evaluate((e) => e === document.activeElement));
await ben.keyboard.press("Enter");
await panel(ben).getByRole("link", { name: "Approve or deny" }).press("Enter");
await ben.getByRole("button", { name: "Approve", exact: true }).waitFor();
check("the panel gave way to the page", (await panel(ben).count()) === 0);

// Anna's phone shows what she sent, until it is decided.
await anna.goto(portal + "/notifications");
const told = (page, kind) => page.locator(`main [data-told=${kind}]`);
await told(anna, "requested").waitFor();
const agreed = await post(ben, `/requests/${asked.id}/decisions`, { approve: true, digest: asked.digest, comment: "go ahead" });
check("it is approved", agreed.state === "approved");
await told(anna, "decided").filter({ hasText: "db-1" }).getByText("by ben").waitFor();
await told(anna, "requested").waitFor({ state: "detached" });
await told(anna, "opened").filter({ hasText: "db-1" }).waitFor();
await look(anna, "page-phone");

// Cleo was asked too, and hears that it is settled and by whom.
await bell(cleo).click();
await panel(cleo).locator("[data-told=decided]").getByText("by ben").waitFor();
check("she is not asked any more", (await panel(cleo).getByRole("link", { name: "Approve or deny" }).count()) === 0);
await look(cleo, "settled-desk");
await panel(cleo).getByRole("link", { name: "All notifications" }).click();
await cleo.getByRole("heading", { level: 1, name: "Notifications" }).waitFor();
await inspect(cleo, "the notifications of whoever was asked");

// What ends soon is extended from where it is told.
await anna.goto(portal + "/");
await until("she is told that it ends", async () => /\d unread/.test(await bell(anna).getAttribute("aria-label")), 110_000);
await bell(anna).click();
const soon = panel(anna).locator("[data-told=willEnd]");
await soon.getByText(/ends in \d+ s/).waitFor();
await look(anna, "ends-phone");
await soon.getByRole("button", { name: "Extend" }).click();
await anna.getByRole("dialog", { name: "Extend access to web-1" }).getByRole("button", { name: "Extend" }).click();
await soon.waitFor({ state: "detached" });
await panel(anna).locator("[data-told=opened]").filter({ hasText: "web-1" }).waitFor();
await inspect(anna, "the panel on a phone");

if (faults.length) {
  console.error(faults.join("\n"));
  process.exit(1);
}
await browser.close();
