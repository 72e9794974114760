// Adds a passkey, signs in with it, and confirms with it what a rule wants confirmed, in a browser with an authenticator of
// its own. Passkeys are of a name and want a certificate that the browser trusts, so the browser is told of both.
import { createHash, X509Certificate } from "node:crypto";
import { execFileSync } from "node:child_process";
import { connect } from "node:tls";
import { check, faults, inspect, launch, person, portal, reaches, signIn, until } from "./lib.mjs";

const { ADMIN_PASSWORD, BEN_PASSWORD, NAME, DB, STORE } = process.env;
const own = "a long enough password 42";
const here = new URL(portal);
const named = `https://${NAME}:${here.port}`;
const raw = await new Promise((resolve, reject) => {
  const socket = connect({ host: here.hostname, port: Number(here.port), rejectUnauthorized: false, servername: NAME }, () => { resolve(socket.getPeerCertificate().raw); socket.end(); });
  socket.on("error", reject);
});
const spki = createHash("sha256").update(new X509Certificate(raw).publicKey.export({ type: "spki", format: "der" })).digest("base64");
const browser = await launch(`--host-resolver-rules=MAP ${NAME} ${here.hostname}`, "--ignore-certificate-errors-spki-list=" + spki);
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });

async function equipped(options) {
  const page = await person(browser, { ignoreHTTPSErrors: false, ...options });
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
  return page;
}

const ben = await equipped();
ben.expected.push(/status of 40[13]/); // the one-time password
await signIn(ben, "ben", BEN_PASSWORD, own, named);
ben.expected.length = 0;
await ben.getByRole("link", { name: "Ben Ito" }).click();
await ben.getByLabel("Name of this device").fill("Ben's laptop");

// At a sign-in that is not of this minute, the first passkey wants the password again: a wrong one adds nothing.
execFileSync("sqlite3", ["-cmd", ".timeout 20000", STORE, "update sessions set proved_at = 0"]);
ben.expected.push(/status of 40[013]/);
await ben.getByRole("button", { name: "Add a passkey" }).press("Enter");
const proof = ben.getByRole("dialog", { name: "Confirm your password" });
await proof.getByLabel("Password").fill("not the password");
await ben.keyboard.press("Enter");
await proof.getByRole("alert").waitFor();
await inspect(ben, "a first passkey wants a proof");
await proof.getByLabel("Password").fill(own);
await ben.keyboard.press("Enter");
await proof.waitFor({ state: "detached" });
await ben.getByText("Ben's laptop").waitFor();
ben.expected.length = 0;
await inspect(ben, "account with a passkey");

// Asking and deciding ask for it, once, and then do what was asked.
const admin = await equipped();
await signIn(admin, "admin", ADMIN_PASSWORD, undefined, named);
await admin.goto(named + "/account");
await admin.getByRole("button", { name: "Add a passkey" }).click();
await admin.getByText("Laptop", { exact: true }).waitFor();
await admin.goto(named + "/machines/db-1/connect");
await admin.getByText("You will be prompted for your passkey.").waitFor();
admin.expected.push(/status of 403/); // it needs the passkey first
await admin.getByRole("button", { name: "Request access" }).click();
await admin.getByText("Pending approval").waitFor();
const made = (await admin.evaluate(async () => (await fetch("/api/v1/requests?state=pending")).json())).items[0];
await ben.goto(named + "/requests/" + made.id);
ben.expected.push(/status of 403/); // it needs the passkey first
await ben.getByText("Deciding requires a passkey.").waitFor();
await ben.getByRole("button", { name: "Approve" }).click();
await until("the database is open in the kernel", () => reaches(DB));
ben.expected.length = 0;
await ben.getByText("Active", { exact: true }).first().waitFor();
await ben.getByRole("button", { name: "Revoke" }).click();
await until("the database is shut in the kernel", async () => !(await reaches(DB)));

// So does activating a role, whose rule asks for no approval; long after the last use, as the server sees it.
await ben.goto(named + "/roles");
await ben.getByText("activates at once, with your passkey").waitFor();
execFileSync("sqlite3", ["-cmd", ".timeout 20000", STORE, "update sessions set stepped_up_at = 0"]);
await ben.getByRole("button", { name: "Activate Reader" }).click();
await ben.getByText("You will be prompted for your passkey.").waitFor();
ben.expected.push(/status of 403/); // it needs the passkey first
const proven = ben.waitForResponse((r) => r.url().endsWith("/sessions/current/step-up") && r.ok());
await ben.getByRole("dialog").getByRole("button", { name: "Activate" }).click();
await proven;
await ben.getByRole("button", { name: "Revoke Reader" }).waitFor();
ben.expected.length = 0;
await ben.getByRole("button", { name: "Revoke Reader" }).click();
await ben.getByRole("button", { name: "Activate Reader" }).waitFor();

// Signing in with it needs no password, and leads where one wanted to go.
await ben.getByRole("button", { name: "Sign out" }).click();
await ben.getByText("You are signed out.").waitFor();
await ben.goto(named + "/access");
await inspect(ben, "sign-in with a passkey");
await ben.getByRole("button", { name: "Sign in with a passkey" }).click();
await ben.getByRole("heading", { level: 1, name: "My access" }).waitFor();
check("it leads on", new URL(ben.url()).pathname === "/access");

// Whoever has none is told so, and can try again.
const other = await equipped();
await other.goto(named + "/sign-in");
const cdp = await other.context().newCDPSession(other);
await other.evaluate(() => { navigator.credentials.get = () => Promise.reject(new DOMException("no", "NotAllowedError")); });
await other.getByRole("button", { name: "Sign in with a passkey" }).click();
await other.getByText("The passkey was not used.").waitFor();
await cdp.detach();

// Forgetting it wants it once more; it is fresh still.
await ben.goto(named + "/account");
await ben.getByRole("button", { name: "Delete Ben's laptop" }).click();
await ben.getByText("Ben's laptop").waitFor({ state: "detached" });

await browser.close();
if (faults.length) process.exit(1);
