// A request that repeats: what the form says before it is sent is what the server makes of it.
import { check, faults, inspect, launch, person, portal, signIn, until } from "./lib.mjs";

const browser = await launch();
process.on("exit", (code) => { if (code) console.error(faults.join("\n")); });
const anna = await person(browser);
anna.expected.push(/403/); // the one-time password asks for a new one
await signIn(anna, "anna", process.env.ANNA_PASSWORD, "a long enough password 42");
anna.expected.length = 0;

// A choice of how often brings a start and a count with it, and going back to once takes them away.
await anna.goto(portal + "/ask?machine=web-1");
await anna.getByText("Opens without approval.").waitFor();
check("it is asked for once, unless one says more", (await anna.getByLabel("How many times").count()) === 0);
await anna.getByLabel("Repeats").selectOption("daily");
const start = anna.getByLabel("Start (Europe/Berlin)");
check("it begins at a set time", (await start.inputValue()) !== "");
await anna.getByText("5 times, at").waitFor();
await anna.getByLabel("Starting").selectOption("now");
await anna.getByText("5 times, at").waitFor({ state: "detached" });
check("what begins at once does not repeat", (await anna.getByLabel("Repeats").inputValue()) === "");

// From a Saturday on, the first weekday is a Monday.
const saturday = new Date(Date.now() + 8 * 86_400_000);
while (saturday.getUTCDay() !== 6) saturday.setUTCDate(saturday.getUTCDate() + 1);
await anna.getByLabel("Repeats").selectOption("weekdays");
await start.fill(saturday.toISOString().slice(0, 10) + "T09:00");
await anna.getByLabel("How many times").fill("4");
const preview = anna.locator("[data-series]");
await preview.getByText("4 times, at 09:00, for 1 h each.").waitFor();
await preview.getByText("Times are in Europe/Berlin.").waitFor();
const days = (await preview.locator("p").nth(1).innerText()).replace(/\.$/, "");
check("on weekdays alone: " + days, days.split("; ").length === 4 && /^Mon.*Tue.*Wed.*Thu/.test(days));
await inspect(anna, "ask, a series");

// Where the page shows UTC, what was typed stays the same moment, and what is typed from then on is UTC.
await anna.getByRole("button", { name: "Show UTC" }).click();
const inUTC = anna.getByLabel("Start (UTC)");
const nine = new Date((await inUTC.inputValue()) + "Z").toLocaleTimeString("en-GB", { timeZone: "Europe/Berlin" });
check("it is the same moment: " + nine, nine === "09:00:00");
await preview.getByText("Times are in UTC.").waitFor();
await anna.getByLabel("Repeats").selectOption("");
await inUTC.fill(saturday.toISOString().slice(0, 10) + "T23:30");
await anna.getByRole("button", { name: "Request access", exact: true }).click();
await anna.getByText("What was requested").waitFor();
const once = await anna.request.get(portal + "/api/v1" + new URL(anna.url()).pathname).then((r) => r.json());
check("what was typed is read as UTC: " + once.start, once.start === saturday.toISOString().slice(0, 10) + "T23:30:00Z");
await anna.goto(portal + "/access");
await anna.getByRole("button", { name: "Cancel" }).click();
await anna.getByText("was to open").waitFor();
await anna.goto(portal + "/ask?machine=web-1");
await anna.getByRole("button", { name: "Show Europe/Berlin" }).click();
await anna.getByText("Opens without approval.").waitFor();
await anna.getByLabel("Repeats").selectOption("weekdays");
await start.fill(saturday.toISOString().slice(0, 10) + "T09:00");
await anna.getByLabel("How many times").fill("4");
await preview.getByText("4 times, at 09:00, for 1 h each.").waitFor();
await anna.getByRole("button", { name: "Request access", exact: true }).click();

// The request names the same days, and each of them is nine o'clock here.
await anna.getByText("4 times, the first").waitFor();
check("the server's days are those of the form", (await anna.locator("dl", { hasText: "Requested by" }).innerText()).includes(days));
const made = await anna.request.get(portal + "/api/v1" + new URL(anna.url()).pathname).then((r) => r.json());
const hours = made.windows.map((at) => new Date(at).toLocaleTimeString("en-GB", { timeZone: "Europe/Berlin" }));
check("each at nine: " + hours, hours.length === 4 && hours.every((h) => h === "09:00:00"));
await inspect(anna, "request, a series");

// My access and the machine show the next one, and how many follow.
await anna.goto(portal + "/machines/web-1/connect");
await anna.getByText("3 more follow").waitFor();
await inspect(anna, "connect, a series");
await anna.goto(portal + "/access");
await anna.getByText("3 more follow").waitFor();
await inspect(anna, "my access, a series");
await anna.getByRole("button", { name: "Cancel" }).click();
await anna.getByText("2 more follow").waitFor();
await until("one is taken back", async () => (await anna.request.get(portal + "/api/v1/grants?principal=me&state=scheduled").then((r) => r.json())).items.length === 3);

await browser.close();
if (faults.length) process.exit(1);
