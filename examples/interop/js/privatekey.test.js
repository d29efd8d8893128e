// OAuth clients that log in with a private key (private_key_jwt), each with the algorithms
// that it has.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { algorithms, opens, refuses, shows, start } from './fixture.js';

const facts = await start();
after(facts.stop);

const { signing } = facts;
const insecure = { [oauth.allowInsecureRequests]: true }; // the fixture speaks http
const key = async (algorithm, keys = signing.keys) =>
  ({ key: await jose.importPKCS8(keys[algorithm], algorithm), kid: signing.key_ids[algorithm] });

// login resolves to the answer of a login by one of the clients. change changes the claims
// before they are signed.
const clients = {
  oauth4webapi: async ({ id, key, change = () => {} }) => {
    const issuer = new URL(facts.issuer);
    const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }));
    const client = { client_id: id };
    const style = oauth.PrivateKeyJwt(key, { [oauth.modifyAssertion]: (_, claims) => change(claims) });
    return oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, style, {}, insecure));
  },
  'openid-client': async ({ id, key, change = () => {} }) => {
    const style = openid.PrivateKeyJwt(key, { [openid.modifyAssertion]: (_, claims) => change(claims) });
    const options = { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] };
    return openid.clientCredentialsGrant(await openid.discovery(new URL(facts.issuer), id, undefined, style, options));
  },
};

for (const [peer, login] of Object.entries(clients)) {
  const id = signing.client_id;
  shows(peer, `PrivateKeyJwt: ${algorithms.join(', ')}`, async () => {
    for (const algorithm of algorithms) {
      const answer = await login({ id, key: await key(algorithm) });
      assert.equal(answer.scope, 'project.list project.read');
      await opens(facts, answer.access_token);
    }
  });

  const refused = (what, options) =>
    refuses(peer, `${what} (PrivateKeyJwt)`, async () => {
      for (const algorithm of algorithms) {
        const all = { id, key: await key(algorithm), ...(await options(algorithm)) };
        await assert.rejects(login(all), { name: 'WWWAuthenticateChallengeError', status: 401 });
      }
    });
  refused('wrong key', async (algorithm) => ({ key: await key(algorithm, signing.wrong_keys) }));
  refused('assertion sent before', async (algorithm) => {
    const change = (claims) => { claims.jti = `${peer} ${algorithm}`; };
    await login({ id, key: await key(algorithm), change });
    return { change };
  });
  refused('wrong audience', () => ({ change: (claims) => { claims.aud = facts.token_url; } }));
  refused('wrong client id', () => ({ id: facts.client_id }));
}
