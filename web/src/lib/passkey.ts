import { api, ask, Failure } from "./api";

// Bytes travel as base64url in the options of a ceremony; the browser's API wants buffers.
function bytes(text: string): ArrayBuffer {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0)).buffer;
}
type Encoded<T, K extends keyof T> = Omit<T, K> & Record<K, string>;
type Listed = Encoded<PublicKeyCredentialDescriptor, "id">;
type RequestOptions = Encoded<Omit<PublicKeyCredentialRequestOptions, "allowCredentials">, "challenge"> & {
  allowCredentials?: Listed[];
};
type CreationOptions = Encoded<Omit<PublicKeyCredentialCreationOptions, "user" | "excludeCredentials">, "challenge"> & {
  user: Encoded<PublicKeyCredentialUserEntity, "id">;
  excludeCredentials?: Listed[];
};
const buffers = (list?: Listed[]) => list?.map((one) => ({ ...one, id: bytes(one.id) }));

/** possible tells whether this browser knows passkeys; they need a host name, which an address is not. */
export const possible = typeof PublicKeyCredential === "function" && !/^[\d.]+$|^\[/.test(location.hostname);

const text = (b: ArrayBuffer) =>
  btoa(String.fromCharCode(...new Uint8Array(b)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

function given(credential: Credential | null): Record<string, unknown> {
  if (!credential) throw new Failure(400, "The browser returned no passkey. Try again.", "noPasskey", []);
  const { id, rawId, type, response } = credential as PublicKeyCredential;
  const sent: Record<string, string> = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    const value = (response as unknown as Record<string, ArrayBuffer | null>)[name];
    if (value) sent[name] = text(value);
  }
  return { id, rawId: text(rawId), type, response: sent, clientExtensionResults: {} };
}

/** touched runs a part of a ceremony that the person may break off. */
async function touched<T>(ceremony: Promise<T>): Promise<T> {
  try {
    return await ceremony;
  } catch (thrown) {
    if (thrown instanceof DOMException)
      throw new Failure(400, "The passkey was not used. Try again when you are ready.", "passkeyNotUsed", []);
    throw thrown;
  }
}

/** confirm confirms the session with a passkey, where a rule asks for that. */
export async function confirm() {
  const begun = await ask(api.POST("/api/v1/sessions/current/step-up/begin"));
  const { publicKey: o } = begun.options as { publicKey: RequestOptions };
  const found = await touched(
    navigator.credentials.get({
      publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials: buffers(o.allowCredentials) },
    }),
  );
  await ask(
    api.POST("/api/v1/sessions/current/step-up", { body: { ceremony: begun.ceremony, response: given(found) } }),
  );
}

/** confirmed does what a rule may want a passkey for, and asks for one where it does. */
export async function confirmed<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.code !== "stepUpRequired" || !possible) throw thrown;
    await confirm();
    return await act();
  }
}

/** prove shows one's password once more, which the first passkey needs where the sign-in is not of this minute. */
export const prove = (password: string) => ask(api.POST("/api/v1/sessions/current/proof", { body: { password } }));

/** add makes a passkey and keeps it under a name. */
export async function add(name: string) {
  const begun = await ask(api.POST("/api/v1/passkeys/begin"));
  const { publicKey: o } = begun.options as { publicKey: CreationOptions };
  const made = await touched(
    navigator.credentials.create({
      publicKey: {
        ...o,
        challenge: bytes(o.challenge),
        user: { ...o.user, id: bytes(o.user.id) },
        excludeCredentials: buffers(o.excludeCredentials),
      },
    }),
  );
  await ask(api.POST("/api/v1/passkeys", { body: { ceremony: begun.ceremony, response: given(made), name } }));
}
