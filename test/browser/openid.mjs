// The whole way through the organization's own sign-in, in a real browser: the button, the provider, and back. test/oidc runs
// it, where the provider is.
import { check, faults, inspect, launch, person, portal } from "./lib.mjs";

const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });

/** through clicks the button, and says at the provider who one is. */
async function through(page, issuer, name) {
  const foreign = /Failed to load resource: (net::|.*404)/; // fonts and icons of the provider's own page
  page.expected.push(foreign);
  await page.getByRole("link", { name: "Sign in with your organization" }).click();
  await page.waitForURL(issuer + "/**");
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill("any");
  await page.getByRole("button").click();
  await page.waitForURL(portal + "/**");
  page.expected.splice(page.expected.indexOf(foreign), 1);
}

const anna = await person(browser);
await anna.goto(portal + "/account");
await inspect(anna, "sign-in with an organization");
await through(anna, process.env.ISSUER, "anna");
await anna.getByRole("heading", { level: 1, name: "Your account" }).waitFor();
check("the provider's name for her is shown", await anna.getByText("Anna Berg").first().isVisible());
const cookie = (await anna.context().cookies(portal)).find((c) => c.name === "__Host-postern");
check("no script reads the session, and no other site sends it", cookie.httpOnly && cookie.secure && cookie.sameSite === "Lax");

// She leaves, and the session with the provider alone opens nothing.
await anna.getByRole("button", { name: "Sign out", exact: true }).click();
await anna.getByText("You are signed out.").waitFor();
await anna.goto(portal + "/account");
await anna.getByRole("link", { name: "Sign in with your organization" }).waitFor();

// Whom the provider lets in and the server does not gets a page that says why, and no session.
const eve = await person(browser);
eve.expected.push(/403/);
await eve.goto(portal + "/");
await through(eve, process.env.ISSUER, "eve");
await eve.getByText(/^People\s+with\s+this\s+mail\s+address\s+are\s+not\s+let\s+in\s+here:\s+/).waitFor();
await eve.getByRole("link", { name: "Back to Postern" }).click();
await eve.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();

await browser.close();
if (faults.length) process.exit(1);
