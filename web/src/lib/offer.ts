import type { components } from "./openapi";

export type Definition = components["schemas"]["ApplicationDefinition"];
type Input = components["schemas"]["ApplicationDefinitionInput"];

/** Draft is a definition while it is edited. */
export type Draft = {
  name: string;
  displayName: string;
  description: string;
  version: string;
  disabled: boolean;
  public: boolean;
  audience: string;
  authorizations: { principal: string; role: string; maxSeconds: number }[];
  jit: { available: boolean; required: boolean; maxSeconds: number };
  lockLevel: NonNullable<Input["lockLevel"]>;
  allowed: string;
  allowedData: string;
  endpoint: string;
  form: string;
};

export const empty = (): Draft => ({
  name: "",
  displayName: "",
  description: "",
  version: "",
  disabled: false,
  public: false,
  audience: "",
  authorizations: [{ principal: "", role: "Contributor", maxSeconds: 0 }],
  jit: { available: true, required: false, maxSeconds: 28800 },
  lockLevel: "ReadOnly",
  allowed: "",
  allowedData: "",
  endpoint: "",
  form: "",
});

/** draftOf makes what is there editable. */
export const draftOf = (d: Definition): Draft => ({
  name: d.name,
  displayName: d.displayName ?? "",
  description: d.description ?? "",
  version: "",
  disabled: d.disabled ?? false,
  public: d.public ?? false,
  audience: (d.audience ?? []).join("\n"),
  authorizations: (d.authorizations ?? []).map((a) => ({
    principal: a.principal,
    role: a.role,
    maxSeconds: a.maxSeconds ?? 0,
  })),
  jit: {
    available: d.jit.available,
    required: d.jit.required ?? false,
    maxSeconds: d.jit.maxSeconds ?? 0,
  },
  lockLevel: d.lockLevel ?? "ReadOnly",
  allowed: (d.allowedActions ?? []).join("\n"),
  allowedData: (d.allowedDataActions ?? []).join("\n"),
  endpoint: d.notificationEndpoint ?? "",
  form: d.createUiDefinition ?? "",
});

export const lines = (text: string) =>
  text
    .split("\n")
    .map((l) => l.trim())
    .filter(Boolean);

/** inputOf is what is sent: the whole definition, with what this page does not show as it was. */
export const inputOf = (d: Draft, was?: Definition): Input => ({
  resourceGroup: was?.resourceGroup,
  packageFileUri: was?.packageFileUri,
  mainTemplate: was?.mainTemplate,
  tags: was?.tags,
  unmanaged: was?.unmanaged,
  displayName: d.displayName.trim() || undefined,
  description: d.description.trim() || undefined,
  version: d.version.trim() || undefined,
  disabled: d.disabled || undefined,
  public: d.public || undefined,
  audience: d.public ? undefined : lines(d.audience),
  authorizations: d.authorizations
    .filter((a) => a.principal.trim())
    .map((a) => ({ principal: a.principal.trim(), role: a.role, maxSeconds: a.maxSeconds || undefined })),
  jit: d.jit.available
    ? { available: true, required: d.jit.required || undefined, maxSeconds: d.jit.maxSeconds || undefined }
    : { available: false },
  lockLevel: d.lockLevel,
  allowedActions: lines(d.allowed),
  allowedDataActions: lines(d.allowedData),
  notificationEndpoint: d.endpoint.trim() || undefined,
  createUiDefinition: d.form.trim() ? d.form : undefined,
});
