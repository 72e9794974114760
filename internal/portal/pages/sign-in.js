// The two things of the sign-in pages that need a script: a look at a new password as it is typed, and passkeys.
(() => {
  const show = document.getElementById("show");
  if (!show) return;
  show.hidden = false;
  show.addEventListener("change", (e) => {
    for (const name of ["newPassword", "again"]) document.getElementById(name).type = e.target.checked ? "text" : "password";
  });
})();

// Offers to sign in with a passkey where the browser knows them.
(() => {
  const box = document.getElementById("passkey");
  if (!box || typeof PublicKeyCredential !== "function" || /^[\d.]+$|^\[/.test(location.hostname)) return;
  box.hidden = false;
  const button = box.querySelector("button");
  const next = document.querySelector("input[name=next]");

  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0)).buffer;
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  async function call(path, body) {
    const answer = await fetch("/api/v1/sessions/passkey" + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.detail || "The server answered " + answer.status + ". Try again in a moment.");
    return said;
  }

  function complain(message) {
    let problem = document.getElementById("passkey-problem");
    if (!problem) {
      problem = document.createElement("p");
      problem.id = "passkey-problem";
      problem.className = "problem";
      problem.setAttribute("role", "alert");
      box.before(problem);
    }
    problem.textContent = message.charAt(0).toUpperCase() + message.slice(1);
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const begun = await call("/begin");
      const options = begun.options.publicKey;
      const found = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge) } });
      const response = {};
      for (const name of ["clientDataJSON", "authenticatorData", "signature", "userHandle"]) {
        if (found.response[name]) response[name] = text(found.response[name]);
      }
      await call("", { ceremony: begun.ceremony, response: { id: found.id, rawId: text(found.rawId), type: found.type, response, clientExtensionResults: {} } });
      location.assign(next && next.value.startsWith("/") ? next.value : "/");
    } catch (thrown) {
      complain(thrown instanceof DOMException ? "The passkey was not used. Try again when you are ready." : thrown.message);
      button.disabled = false;
    }
  });
})();
