// Actions by which the pages know what to offer; see may.
export const guard = "Microsoft.Security/locations/jitNetworkAccessPolicies/write";
export const initiate = "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action";
export const readPolicies = "Microsoft.Security/locations/jitNetworkAccessPolicies/read";
export const readMachines = "Microsoft.Compute/virtualMachines/read";
export const addMachines = "Microsoft.Compute/virtualMachines/write";
export const deleteMachines = "Microsoft.Compute/virtualMachines/delete";
export const enroll = "enrollmentTokens/write";
