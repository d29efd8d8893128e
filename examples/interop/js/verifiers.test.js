// Verifiers: each accepts the good token and refuses every bad one for the
// expected reason, with every algorithm.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { algorithms, bad, listen, refuses, shows, start } from './fixture.js';

const worlds = await Promise.all(algorithms.map((algorithm) => start(algorithm)));
after(() => worlds.forEach((facts) => facts.stop()));

const insecure = { [oauth.allowInsecureRequests]: true }; // the fixture speaks http
const everyAlgorithm = algorithms.join(', ');

// meets tests one verifier with all worlds. verify resolves to the claims or
// rejects; wants has a check of the error for each bad token.
function meets(peer, how, verify, wants) {
  shows(peer, `${how}: ${everyAlgorithm}`, async () => {
    for (const facts of worlds) {
      const claims = await verify(facts, facts.tokens.good);
      assert.equal(claims.sub, facts.client_id);
      assert.equal(claims.scope, 'project.list project.read');
    }
  });
  for (const wrong of ['expired', 'wrong audience', 'other key']) {
    refuses(peer, wrong, async () => {
      for (const facts of worlds) {
        await assert.rejects(verify(facts, bad(facts)[wrong]), wants[wrong], facts.algorithm);
      }
    });
  }
}

meets(
  'jose',
  'keys, token (at+jwt)',
  async (facts, token) => {
    const keys = jose.createRemoteJWKSet(new URL(facts.jwks_url));
    const { payload } = await jose.jwtVerify(token, keys, {
      issuer: facts.issuer,
      audience: facts.audience,
      algorithms: [facts.algorithm],
      typ: 'at+jwt',
      requiredClaims: ['exp', 'iat', 'jti', 'sub', 'client_id'],
    });
    return payload;
  },
  {
    expired: { code: 'ERR_JWT_EXPIRED' },
    'wrong audience': { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'aud' },
    'other key': { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' },
  },
);

meets(
  'oauth4webapi',
  'RFC 9068 token (validateJwtAccessToken)',
  async (facts, token) => {
    const issuer = new URL(facts.issuer);
    const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }));
    const request = new Request(facts.protected_url, { headers: { Authorization: `Bearer ${token}` } });
    return oauth.validateJwtAccessToken(as, request, facts.audience, { signingAlgorithms: [facts.algorithm], ...insecure });
  },
  {
    expired: /unexpected JWT "exp"/,
    'wrong audience': /unexpected JWT "aud"/,
    'other key': /JWT signature verification failed/,
  },
);

// One application for each world, guarded by the middleware as documented.
const guarded = await Promise.all(
  worlds.map((facts) => {
    const app = express();
    app.use(auth({ issuerBaseURL: facts.issuer, audience: facts.audience, tokenSigningAlg: facts.algorithm, strict: true }));
    app.get('/', requiredScopes('project.read'), (req, res) => res.json(req.auth.payload));
    app.get('/invoices', requiredScopes('billing.read'), (req, res) => res.json({}));
    app.use((error, req, res, next) => res.status(error.status ?? 500).set(error.headers ?? {}).json({ message: error.message }));
    return listen(app);
  }),
);
after(() => Promise.all(guarded.map((app) => app.stop())));

const call = (facts, path, token) =>
  fetch(guarded[worlds.indexOf(facts)].url + path, { headers: { Authorization: `Bearer ${token}` } });

meets(
  'express-oauth2-jwt-bearer',
  'discovery, keys, RFC 9068 token (strict), requiredScopes',
  async (facts, token) => {
    const response = await call(facts, '/', token);
    const body = await response.json();
    if (!response.ok) throw Object.assign(new Error(body.message), { status: response.status });
    return body;
  },
  {
    expired: { status: 401, message: /"exp"/ },
    'wrong audience': { status: 401, message: /'aud'/ },
    'other key': { status: 401, message: /signature verification failed/ },
  },
);

refuses('express-oauth2-jwt-bearer', 'scope not held', async () => {
  for (const facts of worlds) {
    assert.equal((await call(facts, '/invoices', facts.tokens.good)).status, 403);
  }
});
