// Reads and writes what lies around just-in-time access by the Azure SDK for JavaScript, and says what it found as JSON.
import { randomUUID } from "node:crypto";
import { ClientSecretCredential } from "@azure/identity";
import { SecurityCenter } from "@azure/arm-security";
import { AuthorizationManagementClient } from "@azure/arm-authorization";
import { MonitorClient } from "@azure/arm-monitor";
import { SubscriptionClient } from "@azure/arm-resources-subscriptions";

const { POSTERN, CLIENT_ID, CLIENT_SECRET, MACHINE_ID, PERSON_ID } = process.env;
const credential = new ClientSecretCredential("adfs", CLIENT_ID, CLIENT_SECRET, { authorityHost: POSTERN, disableInstanceDiscovery: true });
const options = { endpoint: POSTERN, credentialScopes: [POSTERN + "/.default"] };
const all = async (pages) => {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
};
const refused = (promise) => promise.then(() => ({}), (e) => ({ status: e.statusCode, code: e.code, message: e.message }));

const subscriptions = new SubscriptionClient(credential, options);
const [{ subscriptionId: id }] = await all(subscriptions.subscriptions.list());
const said = {
  tenants: (await all(subscriptions.tenants.list())).map((t) => t.tenantId),
  locations: (await all(subscriptions.subscriptions.listLocations(id))).map((l) => l.name),
};

const policies = new SecurityCenter(credential, id, options).jitNetworkAccessPolicies;
const where = ["default", "local", "default"];
const ports = [
  { number: 22, protocol: "TCP", allowedSourceAddressPrefix: "10.77.0.0/16", maxRequestAccessDuration: "PT3H" },
  { number: 5986, protocol: "*", allowedSourceAddressPrefixes: ["203.0.113.0/24", "2001:db8::/32"], maxRequestAccessDuration: "P1D" },
];
await policies.createOrUpdate(...where, { kind: "Basic", virtualMachines: [{ id: MACHINE_ID, ports }] });
const got = await policies.get(...where);
said.ports = got.virtualMachines[0].ports;
said.again = (await policies.createOrUpdate(...where, got)).virtualMachines[0].ports; // whole, as it was read
said.tooMuch = await refused(policies.initiate(...where, {
  virtualMachines: [{ id: MACHINE_ID, ports: [{ number: 22, endTimeUtc: new Date(Date.now() + 36_000_000), allowedSourceAddressPrefix: "192.0.2.1" }] }],
}));
await policies.delete(...where);
await policies.delete(...where); // 204, which is no error
said.gone = await refused(policies.get(...where));

const roles = new AuthorizationManagementClient(credential, id, options);
const scope = "/subscriptions/" + id;
const role = await roles.roleDefinitions.createOrUpdate(scope, randomUUID(), {
  roleName: "JIT Access Role", description: "requests access", roleType: "CustomRole", assignableScopes: [scope],
  permissions: [{ actions: ["Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action"], notActions: [] }],
});
const name = randomUUID();
await roles.roleAssignments.create(scope, name, { principalId: PERSON_ID, roleDefinitionId: role.id, principalType: "User" });
said.assigned = (await roles.roleAssignments.get(scope, name)).roleDefinitionId === role.id;
said.twice = await refused(roles.roleAssignments.create(scope, randomUUID(), { principalId: PERSON_ID, roleDefinitionId: role.id }));
said.ofPerson = (await all(roles.roleAssignments.listForScope(scope, { filter: `assignedTo('${PERSON_ID}')` }))).length;
await roles.roleAssignments.delete(scope, name);
await roles.roleDefinitions.delete(scope, role.name);
said.roleGone = await refused(roles.roleDefinitions.get(scope, role.name));
said.permissions = (await all(roles.permissions.listForResourceGroup("default"))).length;
said.denied = (await all(roles.denyAssignments.listForScope(scope))).length;

const monitor = new MonitorClient(credential, id, options);
said.categories = (await all(monitor.eventCategories.list())).map((c) => c.value);
said.tenantLog = (await all(monitor.tenantActivityLogs.list({ filter: `eventTimestamp ge '${new Date(Date.now() - 3_600_000).toISOString()}'` }))).length;
console.log(JSON.stringify(said));
process.exit(0);
