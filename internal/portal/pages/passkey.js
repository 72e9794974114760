// Uses a passkey for a program on this machine. What it is to be used for comes behind the # of the address, which is sent to
// nobody; the answer goes to a port of the loopback interface, and nowhere else.
"use strict";

const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const named = (list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));

function fail(message) {
  $("problem").textContent = message;
  $("problem").hidden = false;
}

function read() {
  const asked = JSON.parse(new TextDecoder().decode(bytes(location.hash.slice(1))));
  const back = new URL(asked.back);
  const what = { add: "to add it to your account", signIn: "to sign in", confirm: "to confirm that it is you" }[asked.what];
  if (back.protocol !== "http:" || back.hostname !== "127.0.0.1" || !what) throw new Error("not for a program on this machine");
  $("program").textContent = back.host;
  $("what").textContent = what;
  $("form").action = back.href;
  $("state").value = asked.state;
  return { what: asked.what, options: asked.options.publicKey };
}

async function use({ what, options: o }) {
  const challenge = bytes(o.challenge);
  const credential = what === "add"
    ? await navigator.credentials.create({ publicKey: { ...o, challenge, user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: named(o.excludeCredentials) } })
    : await navigator.credentials.get({ publicKey: { ...o, challenge, allowCredentials: named(o.allowCredentials) } });
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response, clientExtensionResults: {} });
}

let asked;
try {
  asked = read();
} catch {
  fail("This address is not complete. Copy all of it out of the terminal.");
}
$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!asked) return;
  $("problem").hidden = true;
  try {
    $("response").value = await use(asked);
    $("form").submit();
  } catch (thrown) {
    fail(`The passkey was not used (${thrown.name}). Try again when you are ready.`);
  }
});
