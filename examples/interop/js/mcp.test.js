// The client credentials provider of the MCP TypeScript SDK. It calls an MCP server of
// the same SDK, whose authorization server is Latchkey.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { auth } from '@modelcontextprotocol/sdk/client/auth.js';
import {
  ClientCredentialsProvider, PrivateKeyJwtProvider, StaticPrivateKeyJwtProvider, createPrivateKeyJwtAuth,
} from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import * as jose from 'jose';
import { algorithms, bad, listen, opens, quickstart, refuses, shows, start } from './fixture.js';

const peer = '@modelcontextprotocol/sdk';
const app = express();
const mcp = await listen(app);
const facts = await start('ES256', `${mcp.url}/mcp`);
serve();
after(async () => {
  await mcp.stop();
  facts.stop();
});

// serve mounts an MCP server with one tool, which returns the client's id.
function serve() {
  const keys = jose.createRemoteJWKSet(new URL(facts.jwks_url));
  // The server's own audience, which the SDK's client requests (RFC 8707), and the
  // fixture's, because the bad tokens are for that one.
  const audience = [`${mcp.url}/mcp`, facts.audience];
  const verifyAccessToken = async (token) => {
    try {
      const { payload } = await jose.jwtVerify(token, keys, { issuer: facts.issuer, audience, typ: 'at+jwt' });
      return { token, clientId: payload.client_id, scopes: payload.scope.split(' '), expiresAt: payload.exp };
    } catch (error) {
      throw new InvalidTokenError(error.code);
    }
  };
  app.use('/.well-known/oauth-protected-resource/mcp', (req, res) =>
    res.json({ resource: `${mcp.url}/mcp`, authorization_servers: [facts.issuer], scopes_supported: ['project.list'] }),
  );
  app.use('/mcp', requireBearerAuth({
    verifier: { verifyAccessToken },
    requiredScopes: ['project.list'],
    resourceMetadataUrl: `${mcp.url}/.well-known/oauth-protected-resource/mcp`,
  }));
  app.post('/mcp', express.json(), async (req, res) => {
    const server = new McpServer({ name: 'interop', version: '1.0.0' });
    server.registerTool('whoami', {}, ({ authInfo }) => ({ content: [{ type: 'text', text: authInfo.clientId }] }));
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
    await server.connect(transport);
    await transport.handleRequest(req, res, req.body);
  });
  app.all('/mcp', (req, res) => res.status(405).end());
}

const credentials = (secret) => ({
  clientId: facts.client_id,
  clientSecret: secret,
  scope: 'project.list',
  expectedIssuer: facts.issuer,
});

async function whoAmI(provider) {
  const client = new Client({ name: 'interop', version: '1.0.0' });
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(`${mcp.url}/mcp`), { authProvider: provider }));
    return (await client.callTool({ name: 'whoami', arguments: {} })).content[0].text;
  } finally {
    await client.close();
  }
}

shows(peer, 'ClientCredentialsProvider, with Config.AuthorizationPath: 401, discovery, login, tool call', async () => {
  const provider = new ClientCredentialsProvider(credentials(facts.client_secret));
  assert.equal(await whoAmI(provider), facts.client_id);
  assert.equal(provider.tokens().scope, 'project.list');
});

// The provider with the quickstart: the challenge of a route leads to the metadata of the
// resource, and these lead to the login.
shows(peer, 'examples/quickstart: discovery from the resource metadata, login', async () => {
  const host = await quickstart();
  try {
    const provider = new ClientCredentialsProvider({ clientId: host.client_id, clientSecret: host.client_secret, expectedIssuer: host.issuer });
    const challenge = (await fetch(host.protected_url)).headers.get('www-authenticate');
    const resourceMetadataUrl = new URL(/resource_metadata="([^"]+)"/.exec(challenge)[1]);
    assert.equal(await auth(provider, { serverUrl: host.protected_url, resourceMetadataUrl }), 'AUTHORIZED');
    await opens(host, provider.tokens().access_token);
  } finally {
    host.stop();
  }
});

refuses(peer, 'wrong secret', async () => {
  await assert.rejects(whoAmI(new ClientCredentialsProvider(credentials(facts.wrong_secret))), { name: 'InvalidClientError' });
});

// A private key of its own. The SDK takes an Ed25519 key as a JWK only.
const { signing } = facts;
const id = signing.client_id;
const withKey = async (algorithm, keys = signing.keys, clientId = id) => ({
  clientId,
  privateKey: algorithm === 'EdDSA' ? await jose.exportJWK(await jose.importPKCS8(keys.EdDSA, 'EdDSA', { extractable: true })) : keys[algorithm],
  algorithm,
  scope: 'project.list',
  expectedIssuer: facts.issuer,
});
const invalidClient = { name: 'InvalidClientError' };

shows(peer, `PrivateKeyJwtProvider: 401, discovery, login, tool call: ${algorithms.join(', ')}`, async () => {
  for (const algorithm of algorithms) {
    const provider = new PrivateKeyJwtProvider(await withKey(algorithm));
    assert.equal(await whoAmI(provider), id);
    assert.equal(provider.tokens().scope, 'project.list');
  }
});
for (const algorithm of algorithms) {
  refuses(peer, 'wrong key (PrivateKeyJwtProvider)', async () => {
    await assert.rejects(whoAmI(new PrivateKeyJwtProvider(await withKey(algorithm, signing.wrong_keys))), invalidClient);
  });
  refuses(peer, 'wrong client id (PrivateKeyJwtProvider)', async () => {
    await assert.rejects(whoAmI(new PrivateKeyJwtProvider(await withKey(algorithm, signing.keys, facts.client_id))), invalidClient);
  });
  refuses(peer, 'wrong audience (PrivateKeyJwtProvider)', async () => {
    const options = await withKey(algorithm);
    const provider = new PrivateKeyJwtProvider(options);
    provider.addClientAuthentication = createPrivateKeyJwtAuth({ issuer: id, subject: id, privateKey: options.privateKey, alg: algorithm, audience: facts.token_url });
    await assert.rejects(whoAmI(provider), invalidClient);
  });
  refuses(peer, 'assertion sent before (StaticPrivateKeyJwtProvider)', async () => {
    const { privateKey } = await withKey(algorithm);
    const params = new URLSearchParams();
    await createPrivateKeyJwtAuth({ issuer: id, subject: id, privateKey, alg: algorithm })(null, params, facts.token_url, { issuer: facts.issuer });
    const options = { clientId: id, jwtBearerAssertion: params.get('client_assertion'), scope: 'project.list', expectedIssuer: facts.issuer };
    assert.equal(await whoAmI(new StaticPrivateKeyJwtProvider(options)), id);
    await assert.rejects(whoAmI(new StaticPrivateKeyJwtProvider(options)), invalidClient);
  });
}

for (const [wrong, token] of Object.entries(bad(facts))) {
  const codes = {
    expired: 'ERR_JWT_EXPIRED',
    'wrong audience': 'ERR_JWT_CLAIM_VALIDATION_FAILED',
    'other key': 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
  };
  refuses(peer, wrong, async () => {
    const response = await fetch(`${mcp.url}/mcp`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
    assert.equal(response.status, 401);
    assert.equal((await response.json()).error_description, codes[wrong]);
  });
}
