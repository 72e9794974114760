// Opens port 22 of a machine by the Azure SDK for JavaScript, and says what became of it as JSON.
import { ClientSecretCredential } from "@azure/identity";
import { SecurityCenter } from "@azure/arm-security";
import { AuthorizationManagementClient } from "@azure/arm-authorization";
import { MonitorClient } from "@azure/arm-monitor";
import { SubscriptionClient } from "@azure/arm-resources-subscriptions";

const { POSTERN, CLIENT_ID, CLIENT_SECRET, MACHINE_ID } = process.env;
const credential = new ClientSecretCredential("adfs", CLIENT_ID, CLIENT_SECRET, {
  authorityHost: POSTERN,
  disableInstanceDiscovery: true,
});
const options = { endpoint: POSTERN, credentialScopes: [POSTERN + "/.default"] };
const all = async (pages) => {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
};

const [subscription] = await all(new SubscriptionClient(credential, options).subscriptions.list());
const id = subscription.subscriptionId;
const policies = new SecurityCenter(credential, id, options).jitNetworkAccessPolicies;
const where = ["default", "local", "default"];
const put = await policies.createOrUpdate(...where, {
  kind: "Basic",
  virtualMachines: [{ id: MACHINE_ID, ports: [{ number: 22, protocol: "TCP", allowedSourceAddressPrefix: "*", maxRequestAccessDuration: "PT3H" }] }],
});
const initiated = await policies.initiate(...where, {
  justification: "INC-4812 disk full",
  virtualMachines: [{ id: MACHINE_ID, ports: [{ number: 22, endTimeUtc: new Date(Date.now() + 600_000), allowedSourceAddressPrefix: "10.77.0.1" }] }],
});
const lists = await Promise.all([
  all(policies.list()),
  all(policies.listByRegion("local")),
  all(policies.listByResourceGroup("default")),
  all(policies.listByResourceGroupAndRegion("default", "local")),
]);
const roles = new AuthorizationManagementClient(credential, id, options);
const scope = "/subscriptions/" + id;
const readers = await all(roles.roleDefinitions.list(scope, { filter: "roleName eq 'Reader'" }));
const assignments = await all(roles.roleAssignments.listForScope(scope, { filter: `principalId eq '${CLIENT_ID}'` }));
const since = new Date(Date.now() - 3_600_000).toISOString();
const events = await all(new MonitorClient(credential, id, options).activityLogs.list(`eventTimestamp ge '${since}'`));
console.log(JSON.stringify({
  state: put.provisioningState,
  port: initiated.virtualMachines[0].ports[0],
  requestor: initiated.requestor,
  lists: lists.map((l) => l.length),
  requests: lists[0][0].requests.length,
  readers: readers.map((r) => r.roleName),
  assignments: assignments.length,
  initiates: events.filter((e) => e.operationName.value.endsWith("initiate/action")).length,
}));
process.exit(0);
