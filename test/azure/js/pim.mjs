// Makes the service principal itself eligible for a role, activates it and gives it back, by the Azure SDK for JavaScript, and
// says what became of it as JSON.
import { randomUUID } from "node:crypto";
import { ClientSecretCredential } from "@azure/identity";
import { AuthorizationManagementClient } from "@azure/arm-authorization";

const { POSTERN, CLIENT_ID, CLIENT_SECRET, SUBSCRIPTION } = process.env;
const credential = new ClientSecretCredential("adfs", CLIENT_ID, CLIENT_SECRET, { authorityHost: POSTERN, disableInstanceDiscovery: true });
const client = new AuthorizationManagementClient(credential, SUBSCRIPTION, { endpoint: POSTERN, credentialScopes: [POSTERN + "/.default"] });
const all = async (pages) => {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
};
const refused = (promise) => promise.then(() => ({}), (e) => ({ status: e.statusCode, code: e.code, message: e.message }));

const scope = `/subscriptions/${SUBSCRIPTION}/resourceGroups/default`;
const [reader] = await all(client.roleDefinitions.list(scope, { filter: "roleName eq 'Reader'" }));
const ask = { principalId: CLIENT_ID, roleDefinitionId: reader.id };
const window = (duration) => ({ startDateTime: new Date(), expiration: { type: "AfterDuration", duration } });
const said = {};

const eligible = randomUUID();
said.eligible = (await client.roleEligibilityScheduleRequests.create(scope, eligible, { ...ask, requestType: "AdminAssign", scheduleInfo: window("P30D") })).status;
said.valid = (await client.roleEligibilityScheduleRequests.validate(scope, eligible, { ...ask, requestType: "AdminAssign" })).requestType;
said.uncancelled = await refused(client.roleEligibilityScheduleRequests.cancel(scope, eligible));
said.request = (await client.roleEligibilityScheduleRequests.get(scope, eligible)).status;
said.schedules = (await all(client.roleEligibilitySchedules.listForScope(scope, { filter: "asTarget()" }))).length;
said.instances = (await all(client.roleEligibilityScheduleInstances.listForScope(scope, { filter: "atScope()" }))).length;
said.requests = (await all(client.roleEligibilityScheduleRequests.listForScope(scope, { filter: "asRequestor()" }))).length;
said.children = (await all(client.eligibleChildResources.list(`/subscriptions/${SUBSCRIPTION}`))).map((r) => r.name);
said.policies = (await all(client.roleManagementPolicies.listForScope(scope))).map((p) => p.rules.length);
said.assignments = (await all(client.roleManagementPolicyAssignments.listForScope(scope))).map((p) => p.effectiveRules.length);

const active = randomUUID();
const made = await client.roleAssignmentScheduleRequests.create(scope, active, {
  ...ask, requestType: "SelfActivate", justification: "INC-7 restart", scheduleInfo: window("PT1H"), linkedRoleEligibilityScheduleId: eligible,
});
said.active = [made.name === active, made.status, made.linkedRoleEligibilityScheduleId === eligible];
const instances = await all(client.roleAssignmentScheduleInstances.listForScope(scope, { filter: "asTarget()" }));
const instance = instances.find((i) => i.assignmentType === "Activated");
said.instance = (await client.roleAssignmentScheduleInstances.get(scope, instance.name)).roleDefinitionId === reader.id;
said.schedule = (await client.roleAssignmentSchedules.get(scope, instance.name)).status;
said.tooLong = await refused(client.roleAssignmentScheduleRequests.create(scope, randomUUID(), { ...ask, requestType: "SelfActivate", scheduleInfo: window("PT9H") }));
said.back = (await client.roleAssignmentScheduleRequests.create(scope, randomUUID(), { ...ask, requestType: "SelfDeactivate" })).status;
said.then = (await client.roleAssignmentScheduleRequests.get(scope, active)).status;
said.removed = (await client.roleEligibilityScheduleRequests.create(scope, randomUUID(), { ...ask, requestType: "AdminRemove" })).status;
said.left = (await all(client.roleEligibilitySchedules.listForScope(scope, { filter: "asTarget()" }))).length;
console.log(JSON.stringify(said));
process.exit(0);
