// OAuth clients: each logs in with every authentication method that it has for
// client_credentials.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { ClientCredentials } from 'simple-oauth2';
import { opens, refuses, shows, start } from './fixture.js';

const facts = await start();
after(facts.stop);

const insecure = { [oauth.allowInsecureRequests]: true }; // the fixture speaks http
const granted = 'project.list project.read';

// watch records how each login authenticates.
function watch() {
  const seen = [];
  const watching = (url, init) => {
    if (init.method === 'POST') seen.push(new Headers(init.headers).has('authorization') ? 'basic' : 'post');
    return fetch(url, init);
  };
  return { seen, watching };
}

async function discover(algorithm) {
  const issuer = new URL(facts.issuer);
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure });
  return oauth.processDiscoveryResponse(issuer, response);
}

async function byOauth4webapi(as, authentication, parameters = {}, options = {}) {
  const client = { client_id: facts.client_id };
  const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, { ...insecure, ...options });
  return oauth.processClientCredentialsResponse(as, client, response);
}

// Both clients report a 401 with a challenge as this error.
const challenged = { name: 'WWWAuthenticateChallengeError', status: 401 };

for (const algorithm of ['oauth2', 'oidc']) {
  shows('oauth4webapi', `discovery (${algorithm})`, async () => {
    const as = await discover(algorithm);
    assert.equal(as.token_endpoint, facts.token_url);
    assert.equal(as.jwks_uri, facts.jwks_url);
  });
}

for (const [name, style, method] of [
  ['ClientSecretBasic', oauth.ClientSecretBasic, 'basic'],
  ['ClientSecretPost', oauth.ClientSecretPost, 'post'],
]) {
  shows('oauth4webapi', name, async () => {
    const { seen, watching } = watch();
    const as = await discover('oauth2');
    const answer = await byOauth4webapi(as, style(facts.client_secret), {}, { [oauth.customFetch]: watching });
    assert.deepEqual(seen, [method]);
    assert.equal(answer.scope, granted);
    assert.equal(answer.expires_in, 300);
    await opens(facts, answer.access_token);
  });
  refuses('oauth4webapi', `wrong secret (${name})`, async () => {
    const as = await discover('oauth2');
    await assert.rejects(byOauth4webapi(as, style(facts.wrong_secret)), challenged);
  });
}

refuses('oauth4webapi', 'scope not held', async () => {
  const as = await discover('oauth2');
  const login = byOauth4webapi(as, oauth.ClientSecretBasic(facts.client_secret), { scope: 'billing.read' });
  await assert.rejects(login, { name: 'ResponseBodyError', status: 400, error: 'invalid_scope' });
});

// Introspection, by which alone a peer learns that a token was revoked.
const byOauth = async (token) => {
  const as = await discover('oauth2');
  const client = { client_id: facts.client_id };
  const response = await oauth.introspectionRequest(as, client, oauth.ClientSecretBasic(facts.client_secret), token, insecure);
  return oauth.processIntrospectionResponse(as, client, response);
};
const byOpenid = async (token) => openid.tokenIntrospection(await configuration(facts.client_secret), token);
for (const [peer, introspect] of [['oauth4webapi', byOauth], ['openid-client', byOpenid]]) {
  shows(peer, 'introspection', async () => {
    const answer = await introspect(facts.tokens.good);
    assert.equal(answer.active, true);
    assert.equal(answer.client_id, facts.client_id);
  });
  for (const wrong of ['ended', 'expired', 'other_key']) {
    refuses(peer, `${wrong.replace('_', ' ')} (introspection)`, async () => {
      assert.equal((await introspect(facts.tokens[wrong])).active, false);
    });
  }
}

function configuration(secret, style = openid.ClientSecretBasic, algorithm = 'oauth2') {
  return openid.discovery(new URL(facts.issuer), facts.client_id, secret, style(secret), {
    algorithm,
    execute: [openid.allowInsecureRequests],
  });
}

for (const [name, style, method] of [
  ['ClientSecretBasic', openid.ClientSecretBasic, 'basic'],
  ['ClientSecretPost', openid.ClientSecretPost, 'post'],
]) {
  shows('openid-client', `discovery, ${name}`, async () => {
    for (const algorithm of ['oauth2', 'oidc']) {
      const { seen, watching } = watch();
      const config = await configuration(facts.client_secret, style, algorithm);
      config[openid.customFetch] = watching;
      const answer = await openid.clientCredentialsGrant(config, { scope: 'project.list' });
      assert.deepEqual(seen, [method]);
      assert.equal(answer.scope, 'project.list');
      assert.ok(answer.expiresIn() > 290 && answer.expiresIn() <= 300);
      await opens(facts, answer.access_token);
    }
  });
  refuses('openid-client', `wrong secret (${name})`, async () => {
    const config = await configuration(facts.wrong_secret, style);
    await assert.rejects(openid.clientCredentialsGrant(config), challenged);
  });
}

refuses('openid-client', 'scope not held', async () => {
  const config = await configuration(facts.client_secret);
  const login = openid.clientCredentialsGrant(config, { scope: 'billing.read' });
  await assert.rejects(login, { name: 'ResponseBodyError', status: 400, error: 'invalid_scope' });
});

const bySimpleOAuth2 = (options, secret, scope) =>
  new ClientCredentials({
    client: { id: facts.client_id, secret },
    auth: { tokenHost: facts.base_url, tokenPath: '/api/login' },
    options,
  }).getToken({ scope });

for (const [name, options] of [
  ['header', { authorizationMethod: 'header' }],
  ['header, loose', { authorizationMethod: 'header', credentialsEncodingMode: 'loose' }],
  ['body, form', { authorizationMethod: 'body', bodyFormat: 'form' }],
  ['body, JSON', { authorizationMethod: 'body', bodyFormat: 'json' }],
]) {
  shows('simple-oauth2', name, async () => {
    const answer = await bySimpleOAuth2(options, facts.client_secret, granted);
    assert.equal(answer.expired(), false);
    assert.equal(answer.token.scope, granted);
    await opens(facts, answer.token.access_token);
  });
  refuses('simple-oauth2', `wrong secret (${name})`, async () => {
    await assert.rejects(bySimpleOAuth2(options, facts.wrong_secret), (error) => {
      assert.equal(error.output.statusCode, 401);
      assert.equal(error.data.payload.error, 'invalid_client');
      return true;
    });
  });
}

refuses('simple-oauth2', 'scope not held', async () => {
  await assert.rejects(bySimpleOAuth2({}, facts.client_secret, 'billing.read'), (error) => {
    assert.equal(error.output.statusCode, 400);
    assert.equal(error.data.payload.error, 'invalid_scope');
    return true;
  });
});
