// Verifiers: each accepts the good token and refuses every bad one for the
// expected reason, with every algorithm.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import Hapi from '@hapi/hapi';
import Jwt from '@hapi/jwt';
import OktaJwtVerifier from '@okta/jwt-verifier';
import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';
import { createVerifier } from 'fast-jwt';
import buildGetJwks from 'get-jwks';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { algorithms, bad, listen, refuses, shows, start } from './fixture.js';

const servers = await Promise.all(algorithms.map((algorithm) => start(algorithm)));
after(() => servers.forEach((facts) => facts.stop()));

const insecure = { [oauth.allowInsecureRequests]: true }; // the fixture speaks http

// testVerifier tests one verifier with the servers of all algorithms. verify resolves to
// the claims of a token, or rejects. errors holds what assert.rejects expects for each
// bad token. supported are the algorithms that the verifier supports; errors.algorithm is
// the error for the others.
function testVerifier(peer, how, verify, errors, supported = algorithms) {
  const fit = servers.filter(({ algorithm }) => supported.includes(algorithm));
  shows(peer, `${how}: ${supported.join(', ')}`, async () => {
    for (const facts of fit) {
      const claims = await verify(facts, facts.tokens.good);
      assert.equal(claims.sub, facts.client_id);
      assert.equal(claims.scope, 'project.list project.read');
    }
  });
  for (const wrong of ['expired', 'wrong audience', 'other key']) {
    refuses(peer, wrong, async () => {
      for (const facts of fit) {
        await assert.rejects(verify(facts, bad(facts)[wrong]), errors[wrong], facts.algorithm);
      }
    });
  }
  const others = servers.filter((facts) => !fit.includes(facts));
  if (others.length === 0) return;
  refuses(peer, `${others.map(({ algorithm }) => algorithm).join(', ')} (not supported)`, async () => {
    for (const facts of others) {
      await assert.rejects(verify(facts, facts.tokens.good), errors.algorithm, facts.algorithm);
    }
  });
}

testVerifier(
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

testVerifier(
  'oauth4webapi',
  'RFC 9068 token (validateJwtAccessToken)',
  async (facts, token) => {
    const issuer = new URL(facts.issuer);
    const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }));
    const request = new Request(facts.protected_url, { headers: { Authorization: `Bearer ${token}` } });
    return oauth.validateJwtAccessToken(as, request, facts.audience, insecure);
  },
  {
    expired: /unexpected JWT "exp"/,
    'wrong audience': /unexpected JWT "aud"/,
    'other key': /JWT signature verification failed/,
  },
);

// One application for each server, with the middleware as its documentation shows it.
const guarded = await Promise.all(
  servers.map((facts) => {
    const app = express();
    app.use(auth({ issuerBaseURL: facts.issuer, audience: facts.audience, strict: true }));
    app.get('/', requiredScopes('project.read'), (req, res) => res.json(req.auth.payload));
    app.get('/invoices', requiredScopes('billing.read'), (req, res) => res.json({}));
    app.use((error, req, res, next) => res.status(error.status ?? 500).set(error.headers ?? {}).json({ message: error.message }));
    return listen(app);
  }),
);
after(() => Promise.all(guarded.map((app) => app.stop())));

const call = (facts, path, token) =>
  fetch(guarded[servers.indexOf(facts)].url + path, { headers: { Authorization: `Bearer ${token}` } });

testVerifier(
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
  for (const facts of servers) {
    assert.equal((await call(facts, '/invoices', facts.tokens.good)).status, 403);
  }
});

// get-jwks looks for the keys at the issuer's /.well-known/jwks.json.
testVerifier(
  'fast-jwt',
  "get-jwks's keys, token",
  (facts, token) => {
    const jwks = buildGetJwks();
    const key = ({ header }) => jwks.getPublicKey({ domain: facts.issuer, kid: header.kid, alg: header.alg });
    return createVerifier({ key, allowedIss: facts.issuer, allowedAud: facts.audience })(token);
  },
  {
    expired: { code: 'FAST_JWT_EXPIRED' },
    'wrong audience': { code: 'FAST_JWT_INVALID_CLAIM_VALUE' },
    'other key': { code: 'FAST_JWT_INVALID_SIGNATURE' },
    algorithm: ({ originalError }) => /Unsupported key type "OKP"/.test(originalError.message), // by get-jwks
  },
  ['ES256', 'RS256', 'PS256'],
);

testVerifier(
  '@hapi/jwt',
  'keys, token',
  async (facts, token) => {
    const server = Hapi.server();
    await server.register(Jwt);
    server.auth.strategy('latchkey', 'jwt', {
      keys: { uri: facts.jwks_url },
      verify: { iss: facts.issuer, aud: facts.audience, sub: false },
      validate: (artifacts) => ({ isValid: true, credentials: artifacts.decoded.payload }),
    });
    server.route({ path: '/', method: 'GET', options: { auth: 'latchkey' }, handler: ({ auth }) => auth.credentials });
    try {
      await server.initialize(); // reads the keys
      const answer = await server.inject({ url: '/', headers: { authorization: `Bearer ${token}` } });
      if (answer.statusCode !== 200) throw new Error(answer.result.message);
      return answer.result;
    } finally {
      await server.stop();
    }
  },
  {
    expired: /Token expired/,
    'wrong audience': /Token audience is not allowed/,
    'other key': /Invalid token signature/,
    algorithm: /contained no valid keys/,
  },
  ['RS256', 'PS256'],
);

testVerifier(
  '@okta/jwt-verifier',
  'keys, verifyAccessToken',
  async (facts, token) => {
    const verifier = new OktaJwtVerifier({ issuer: facts.issuer, jwksUri: facts.jwks_url, testing: { disableHttpsCheck: true } });
    return (await verifier.verifyAccessToken(token, facts.audience)).claims;
  },
  {
    expired: /Jwt is expired/,
    'wrong audience': /does not match expected audience/,
    'other key': /Signature verification failed/,
    algorithm: /Un(expected|supported) sign/,
  },
  ['RS256'],
);
