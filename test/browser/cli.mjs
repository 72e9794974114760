// Uses passkeys for the command line: runs its commands, opens the addresses that they print, and touches the authenticator.
import { createHash, X509Certificate } from "node:crypto";
import { spawn } from "node:child_process";
import { connect } from "node:tls";
import { check, faults, inspect, launch, person, portal } from "./lib.mjs";

const { PROGRAM, CONFIG } = process.env;
const here = new URL(portal);
const raw = await new Promise((resolve, reject) => {
  const socket = connect({ host: here.hostname, port: Number(here.port), rejectUnauthorized: false, servername: here.hostname }, () => { resolve(socket.getPeerCertificate().raw); socket.end(); });
  socket.on("error", reject);
});
// A browser gives passkeys to no page whose certificate it does not trust.
const spki = createHash("sha256").update(new X509Certificate(raw).publicKey.export({ type: "spki", format: "der" })).digest("base64");
const browser = await launch("--ignore-certificate-errors-spki-list=" + spki);
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });

const page = await person(browser, { ignoreHTTPSErrors: false });
page.expected.push(/ERR_CONNECTION_REFUSED/); // the program has ended before the browser wants its icon
const cdp = await page.context().newCDPSession(page);
await cdp.send("WebAuthn.enable");
await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });

/** run runs a command to its end; where it prints an address, look is done with the page there. */
async function run(args, look) {
  const child = spawn(PROGRAM, [...args, "--config", CONFIG]);
  let said = "";
  const done = new Promise((resolve) => child.on("close", resolve));
  const address = new Promise((resolve) => {
    for (const out of [child.stdout, child.stderr]) out.on("data", (data) => {
      said += data;
      const found = /(https:\S+)\n/.exec(said);
      if (found) resolve(found[1]);
    });
  });
  if (look) {
    const to = await Promise.race([address, done.then((code) => { throw new Error(`${args} ended with ${code}: ${said}`); })]);
    await page.goto(to);
    await look(to);
  }
  return { code: await done, said };
}

async function touch() {
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await page.getByText("Done.").waitFor();
}

// Which commands want the authenticator, and what the page says then.
const wants = { "passkey add": "to add it to your account", "login --passkey": "to sign in", confirm: "to confirm that it is you" };
let ran = 0;
for (const line of process.env.COMMANDS.trim().split("\n")) {
  const args = line.split(" ").slice(1);
  const said = Object.entries(wants).find(([command]) => args.join(" ").startsWith(command))?.[1];
  const { code, said: output } = await run(args, said && (async (to) => {
    await page.getByText(said).waitFor();
    await inspect(page, line);
    // What is not whole, or leads elsewhere, is not used.
    for (const wrong of ["", Buffer.from(JSON.stringify({ what: "confirm", options: { publicKey: {} }, back: "https://elsewhere.example/", state: "x" })).toString("base64url")]) {
      await page.goto("about:blank");
      await page.goto(portal + "/passkey#" + wrong);
      await page.getByText("This address is not complete.").waitFor();
    }
    await page.goto("about:blank");
    await page.goto(to);
    await page.getByText(said).waitFor();
    await touch();
  }));
  check(`${line} does what it says: ${output}`, code === 0);
  ran++;
}
check("all of them", ran === 5);

await browser.close();
if (faults.length) throw new Error(faults.join("\n"));
