// Tries what an attacker would: markup in every field that takes text, calls from another site to every route that changes
// something, a session that was fixed beforehand, and a cookie that was kept after signing out.
import { createServer } from "node:https";
import { readFileSync } from "node:fs";
import { check, faults, launch, person, portal, signIn, until } from "./lib.mjs";

const { ADMIN_PASSWORD, ROUTES, EVIL, EVIL_CERT, EVIL_KEY } = process.env;
const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const marks = [
  `<img src=x onerror="window.owned=1">`, `"><svg onload="window.owned=1">`, `javascript:window.owned=1`, `{{7*7}}\${7*7}`, `<script>window.owned=1</scr` + `ipt>`, `'-alert(1)-'`,
];
const nasty = marks.join(" ");

const admin = await person(browser);
admin.expected.push(/status of 4\d\d/); // most of it is refused, and the refusal is shown
await signIn(admin, "admin", ADMIN_PASSWORD);
const api = (method, path, body) => admin.evaluate(async ([method, path, body]) => {
  const answer = await fetch(path, { method, headers: { "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  return { status: answer.status, body: await answer.json().catch(() => undefined) };
}, [method, path, body]);

// What is kept and shown again: a justification, a ticket, a comment, names, labels, an address in a link.
const made = await api("POST", "/api/v1/requests", { items: [{ machine: "db-1", ports: "22", sources: ["192.0.2.7"] }], forSeconds: 600, justification: nasty, ticket: nasty.slice(0, 200) });
check("the request was made: " + JSON.stringify(made), made.status === 201);
check("a name with markup", (await api("POST", "/api/v1/principals", { kind: "user", name: "mallory", displayName: nasty.slice(0, 200) })).status === 201);
const odd = await api("POST", "/api/v1/machines", { name: "odd-1", gateway: "gw-berlin", addresses: ["10.88.9.9"], labels: { "<u>odd</u>": marks[1] } });
check("labels with markup: " + JSON.stringify(odd), odd.status === 201);
const places = ["/", "/machines", "/machines?tab=notConfigured&q=odd", "/machines/odd-1", "/machines/db-1", "/access", "/approvals?show=all", "/requests/" + made.body.id, "/activity", "/machines/db-1/connect"];
for (const mark of marks) {
  const q = encodeURIComponent(mark);
  places.push(`/machines?q=${q}&group=${q}&label=${q}&tab=${q}&state=${q}&cursor=${q}`, `/ask?machine=${q}&port=${q}`, `/guard?machine=${q}`, `/activity?actor=${q}&kind=${q}&machine=${q}`);
}
const owned = () => admin.evaluate(() => !!window.owned || document.title === "owned" || [...document.querySelectorAll("main img, main script, main svg[onload], a[href^='javascript:']")].length > 0);
for (const place of places) {
  await admin.goto(portal + place);
  await admin.locator("h1, [role=alert]").first().waitFor();
  check("text stays text at " + place, !(await owned()));
}
await admin.goto(portal + "/requests/" + made.body.id);
await admin.getByText(marks[0]).first().waitFor();

// Every field of every form that a person can type in. What they send is text, wherever it comes back.
const forms = {
  "/ask?machine=web-1": async () => { await admin.getByLabel("Another address or a prefix").check(); },
  "/machines/web-1/guard": async () => { await admin.getByLabel("Approval").first().selectOption("1"); },
  "/machines/web-1/connect": async () => { await admin.getByLabel(/Justification/).waitFor(); },
  "/machines": async () => {
    await admin.getByRole("button", { name: "Add a machine" }).click();
    await admin.getByRole("radio", { name: /behind a gateway/ }).check();
    await admin.getByLabel("Labels").waitFor();
  },
  "/activity": async () => {},
};
let typed = 0;
for (const [path, prepare] of Object.entries(forms)) {
  await admin.goto(portal + path);
  await admin.locator("input:visible").first().waitFor();
  await prepare();
  for (const field of await admin.locator("input:not([type=checkbox]):not([type=radio]):not([type=datetime-local]):visible, textarea:visible").all()) {
    await field.fill(nasty.slice(0, 200));
    typed++;
  }
  await admin.waitForTimeout(400); // what is asked while one types
  const send = admin.locator("form button:not([type=button]):visible").last();
  if (await send.isEnabled()) await send.click({ timeout: 2000 }).catch(() => {}); // behind a dialog there is another one
  await admin.waitForTimeout(200);
  check("what was typed stays text at " + path, !(await owned()));
}
check("there were fields to type in: " + typed, typed > 12);

// The sign-in page writes back the name and the way.
const out = await person(browser);
out.expected.push(/status of 4\d\d/);
for (const mark of [...marks, "//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "javascript:window.owned=1"]) {
  await out.goto(portal + "/sign-in?next=" + encodeURIComponent(mark));
  const next = await out.locator("input[name=next]").inputValue();
  check("the way leads to a page of ours: " + next, next.startsWith("/") && !next.startsWith("//") && !next.includes("\\"));
  await out.getByLabel("Name").fill(mark.slice(0, 200));
  await out.getByLabel("Password", { exact: true }).fill(mark);
  await out.getByRole("button", { name: "Sign in", exact: true }).click();
  await out.getByRole("alert").waitFor();
  check("the name is written back as text", !(await out.evaluate(() => !!window.owned || document.querySelectorAll("main img, main script:not([src])").length > 0)));
}

// Another site, on a name of its own, sends the signed-in person's browser to every route that changes something, by fetch
// and by form. The session's cookie either stays at home or the server refuses.
const site = createServer({ key: readFileSync(EVIL_KEY), cert: readFileSync(EVIL_CERT) }, (_, w) => { w.setHeader("Content-Type", "text/html"); w.end("<!doctype html><title>elsewhere</title>"); });
const [host, port] = EVIL.split(":");
await new Promise((r) => site.listen(Number(port), host, r));
const seqBefore = (await api("GET", "/api/v1/events?limit=1")).body.items[0].seq;
const evil = await admin.context().newPage();
await evil.goto(`https://${EVIL}/`);
const routes = ROUTES.split("\n");
const answers = await evil.evaluate(async ([portal, routes]) => {
  const seen = [];
  for (const route of routes) {
    const [method, path] = route.split(" ");
    for (const mode of ["cors", "no-cors"]) {
      if (mode === "no-cors" && method !== "POST") continue;
      try {
        const r = await fetch(portal + path, { method, mode, credentials: "include", headers: mode === "cors" ? { "Content-Type": "application/json" } : {}, body: method === "DELETE" ? undefined : "{}" });
        seen.push([route, mode, r.type === "opaque" ? 0 : r.status]);
      } catch { seen.push([route, mode, -1]); }
    }
  }
  return seen;
}, [portal, routes]);
check("another site reads no answer: " + JSON.stringify(answers.filter(([, , s]) => s > 0)), answers.every(([, , s]) => s <= 0));
for (const path of ["/sign-out", "/sign-in", "/device", "/api/v1/requests", "/api/v1/sessions"]) {
  await evil.goto(`https://${EVIL}/`);
  await Promise.all([evil.waitForNavigation(), evil.evaluate(([portal, path]) => {
    const f = document.createElement("form");
    f.method = "post"; f.action = portal + path; f.enctype = "text/plain";
    const i = document.createElement("input"); i.name = '{"a":"'; i.value = '"}';
    f.append(i); document.body.append(f); f.submit();
  }, [portal, path])]);
}
await evil.close();
site.close();
check("the person is still signed in", (await api("GET", "/api/v1/me")).status === 200);
const after = (await api("GET", "/api/v1/events?limit=200")).body.items.filter((e) => e.seq > seqBefore && e.outcome === "succeeded" && e.actor === "admin");
check("nothing was changed: " + JSON.stringify(after.map((e) => e.kind)), after.length === 0);

// A session that somebody put into the browser beforehand is not the one that a sign-in opens, and ends with it.
const attacker = await person(browser);
attacker.expected.push(/status of 401/); // its session ends under it
await signIn(attacker, "admin", ADMIN_PASSWORD);
await attacker.goto("about:blank");
const fixed = (await attacker.context().cookies()).find((c) => c.name === "__Host-postern");
const victim = await person(browser);
await victim.context().addCookies([fixed]);
await victim.goto(portal + "/sign-in");
await victim.getByLabel("Name").fill("admin");
await victim.getByLabel("Password", { exact: true }).fill(ADMIN_PASSWORD);
await victim.getByRole("button", { name: "Sign in", exact: true }).click();
await victim.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
const opened = (await victim.context().cookies()).find((c) => c.name === "__Host-postern");
check("a sign-in opens a session of its own", opened.value !== fixed.value);
const whose = async (value) => (await (await browser.newContext({ ignoreHTTPSErrors: true })).request.get(portal + "/api/v1/me", { headers: { Cookie: "__Host-postern=" + value } })).status();
check("the fixed session is over", (await whose(fixed.value)) === 401);
check("one that was never ours is none", (await whose("pst_" + "a".repeat(43))) === 401);

// Signing out ends the session, for whoever kept its cookie too.
const second = await person(browser);
await signIn(second, "admin", ADMIN_PASSWORD);
const kept = (await second.context().cookies()).find((c) => c.name === "__Host-postern").value;
await second.getByRole("button", { name: "Sign out" }).click();
await second.getByText("You are signed out.").waitFor();
check("the session that was signed out is over", (await whose(kept)) === 401);
check("another one is not", (await whose(opened.value)) === 200);

// Signing out everywhere ends all of them, and their streams.
await victim.goto(portal + "/account");
victim.expected.push(/status of 401/);
admin.expected.push(/ERR_|401/);
await victim.getByRole("button", { name: "Sign out everywhere" }).click();
await victim.getByText("You are signed out.").waitFor();
for (const one of [opened.value, (await admin.context().cookies()).find((c) => c.name === "__Host-postern").value]) check("signed out everywhere", (await whose(one)) === 401);
await admin.bringToFront();
await until("the other browser finds out by itself", async () => new URL(admin.url()).pathname === "/sign-in", 60_000);

await browser.close();
if (faults.length) process.exit(1);
