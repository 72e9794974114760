// A real OpenID provider for the tests: node provider.mjs PORT REDIRECT... It signs in whoever types a name, with the claims
// of that name, and prints "ready" when it listens.
import Provider from 'oidc-provider';

const [port, ...redirects] = process.argv.slice(2);
const people = {
  anna: { preferred_username: 'anna', name: 'Anna Berg', email: 'anna@example.org', email_verified: true, groups: ['idp-ops', 'other'] },
  ben: { preferred_username: 'admin', name: 'Not the administrator', email: 'ben@example.org', email_verified: true, groups: [] },
  eve: { preferred_username: 'eve', name: 'Eve', email: 'eve@elsewhere.example', email_verified: true, groups: ['idp-ops'] },
  mia: { preferred_username: 'mia', name: 'Mia', email: 'mia@example.org', email_verified: false, groups: ['idp-ops'] },
};
let revoked = false;
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'postern', client_secret: 'a-secret-for-the-test', redirect_uris: redirects,
    grant_types: ['authorization_code'], response_types: ['code'],
  }],
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  scopes: ['openid', 'profile', 'email'],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'], email: ['email', 'email_verified'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id], groups: revoked ? [] : people[id].groups }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email');
    await grant.save();
    return grant;
  },
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ['only for tests'] },
});
provider.use(async (ctx, next) => {
  if (ctx.path === '/revoke-groups') { revoked = true; ctx.body = 'done'; return; }
  await next();
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
