// Signs in by each credential of the Azure SDK for JavaScript, at both shapes of authority, and says who saw how many
// subscriptions as JSON.
import { ClientCertificateCredential, ClientSecretCredential, DeviceCodeCredential, InteractiveBrowserCredential } from "@azure/identity";
import { SubscriptionClient } from "@azure/arm-resources-subscriptions";

const { POSTERN, TENANT, CLIENT_ID, CLIENT_SECRET, CERTIFICATE, USER_NAME, USER_PASSWORD } = process.env;
const scope = POSTERN + "/.default";

// The person at the page /device, in whose place a form is sent.
const agree = async ({ userCode, verificationUri }) => {
  const form = new URLSearchParams({ code: userCode, name: USER_NAME, password: USER_PASSWORD, answer: "allow" });
  const answer = await fetch(verificationUri, { method: "POST", body: form });
  if (!answer.ok) throw new Error(`${verificationUri} gave ${answer.status}`);
};

const said = {};
for (const tenantId of ["adfs", TENANT]) {
  const options = { authorityHost: POSTERN, disableInstanceDiscovery: true };
  const person = { ...options, tenantId, clientId: "04b07795-8ddb-461a-bbee-02f9e1bf7b46" };
  const credentials = {
    secret: new ClientSecretCredential(tenantId, CLIENT_ID, CLIENT_SECRET, options),
    certificate: new ClientCertificateCredential(tenantId, CLIENT_ID, { certificatePath: CERTIFICATE }, options),
    device: new DeviceCodeCredential({ ...person, userPromptCallback: agree }),
    browser: new InteractiveBrowserCredential(person), // by the program that the variable BROWSER names
  };
  for (const [kind, credential] of Object.entries(credentials)) {
    let seen = 0;
    for await (const _ of new SubscriptionClient(credential, { endpoint: POSTERN, credentialScopes: [scope] }).subscriptions.list()) seen++;
    said[`${kind} at ${tenantId}`] = seen;
  }
}
const wrong = new ClientSecretCredential("adfs", CLIENT_ID, "pss_wrong", { authorityHost: POSTERN, disableInstanceDiscovery: true });
said.wrong = await wrong.getToken(scope).then(() => "", (e) => e.message);
console.log(JSON.stringify(said));
process.exit(0);
