// Deploys a managed application and activates a role on it by the Azure SDK for JavaScript, and says what became of it as JSON.
import { ClientSecretCredential } from "@azure/identity";
import { ApplicationClient } from "@azure/arm-managedapplications";

const { POSTERN, CLIENT_ID, CLIENT_SECRET, VENDOR_ID, VENDOR_SECRET, SUBSCRIPTION } = process.env;
const options = { endpoint: POSTERN, credentialScopes: [POSTERN + "/.default"] };
const as = (id, secret) =>
  new ApplicationClient(new ClientSecretCredential("adfs", id, secret, { authorityHost: POSTERN, disableInstanceDiscovery: true }), SUBSCRIPTION, options);
const customer = as(CLIENT_ID, CLIENT_SECRET);
const vendor = as(VENDOR_ID, VENDOR_SECRET);
const contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c";
const all = async (pages) => {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
};

const definition = await customer.applicationDefinitions.createOrUpdate("default", "js-def", {
  location: "local",
  lockLevel: "ReadOnly",
  displayName: "JavaScript",
  authorizations: [{ principalId: VENDOR_ID, roleDefinitionId: contributor }],
});
const application = await customer.applications.beginCreateOrUpdateAndWait("default", "js-app", {
  location: "local",
  kind: "ServiceCatalog",
  applicationDefinitionId: definition.id,
  managedResourceGroupId: `/subscriptions/${SUBSCRIPTION}/resourceGroups/mrg-js`,
  jitAccessPolicy: { jitAccessEnabled: true, jitApprovalMode: "AutoApprove", maximumJitAccessDuration: "PT1H" },
});
const ask = (duration) => ({
  applicationResourceId: application.id,
  jitAuthorizationPolicies: [{ principalId: VENDOR_ID, roleDefinitionId: contributor }],
  jitSchedulingPolicy: { type: "Once", duration, startTime: new Date() },
});
const refused = await vendor.jitRequests.beginCreateOrUpdateAndWait("mrg-js", "long", ask("PT2H")).then(
  () => "",
  (error) => error.message,
);
const request = await vendor.jitRequests.beginCreateOrUpdateAndWait("mrg-js", "now", ask("PT30M"));
const again = await vendor.jitRequests.get("mrg-js", "now");
const listed = await vendor.jitRequests.listByResourceGroup("mrg-js");
await vendor.jitRequests.delete("mrg-js", "now");
const ended = await vendor.jitRequests.get("mrg-js", "now"); // the SDK takes a 404 for an answer without members
const applications = await all(customer.applications.listBySubscription());
await customer.applications.beginDeleteAndWait("default", "js-app");
await customer.applicationDefinitions.delete("default", "js-def");
console.log(
  JSON.stringify({
    states: [request.jitRequestState, again.jitRequestState, ended.jitRequestState ?? "gone"],
    refused,
    mode: application.jitAccessPolicy.jitApprovalMode,
    requests: listed.value.length,
    applications: applications.length,
  }),
);
