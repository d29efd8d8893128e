// A client of the management API. openapi-typescript generates its types from the OpenAPI
// document, and openapi-fetch makes the calls. ../run generates api.d.ts, compiles this
// file and runs it.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import createClient from 'openapi-fetch';
import type { paths } from './api.js';
import { start } from './fixture.js';

const facts = await start();
after(facts.stop);
const api = createClient<paths>({ baseUrl: facts.manage_url, headers: { Authorization: `Bearer ${facts.manage_token}` } });
const workspace: string = facts.workspace;

test('create, rotate, list', async () => {
  const me = await api.GET('/me');
  assert.equal(me.data?.kind, 'key');
  assert.deepEqual(me.data.rights, ['read_settings', 'save_settings']);

  const body = { name: 'generated', permissions: ['project.list'], expires_at: '2099-01-31' };
  const once = { path: { workspace }, header: { 'Idempotency-Key': 'one' } };
  const made = await api.POST('/workspaces/{workspace}/keys', { params: once, body });
  assert.ok(made.data, JSON.stringify(made.error));
  const { key, secret } = made.data;
  assert.ok(secret);
  assert.equal(key.state, 'active');
  assert.equal(key.expires_on, '2099-01-31');
  const repeated = await api.POST('/workspaces/{workspace}/keys', { params: once, body });
  assert.equal(repeated.response.status, 409);
  assert.equal(repeated.error?.key, key.id);
  const wide = { ...body, permissions: ['project.*'] };
  const refused = await api.POST('/workspaces/{workspace}/keys', { params: { path: { workspace } }, body: wide });
  assert.deepEqual(refused.error?.missing, ['project.read']);

  const found = await api.POST('/find_secret', { body: { secret } });
  assert.deepEqual(found.data, { key, secret: key.secrets[0], secret_state: 'active' });
  const unknown = await api.POST('/find_secret', { body: { secret: 'hello' } });
  assert.equal(unknown.error?.errors?.[0]?.field, 'secret');

  const read = await api.GET('/keys/{key}', { params: { path: { key: key.id } } });
  const etag = read.response.headers.get('ETag') ?? '';
  const rotate = () =>
    api.POST('/keys/{key}/rotate', { params: { path: { key: key.id }, header: { 'If-Match': etag } }, body: { grace: 3600 } });
  const rotated = await rotate();
  assert.equal(rotated.data?.key.secrets.length, 2);
  assert.notEqual(rotated.data.secret, secret);
  assert.equal(rotated.data.key.secrets[1]?.expires_at, null);
  assert.equal((await rotate()).response.status, 412);

  const names: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const query = { limit: 1, sort: 'name' as const, ...(cursor ? { cursor } : {}) };
    const page = await api.GET('/workspaces/{workspace}/keys', { params: { path: { workspace }, query } });
    assert.ok(page.data, JSON.stringify(page.error));
    names.push(...page.data.keys.map((k) => k.name));
    cursor = page.data.next;
  }
  assert.deepEqual(names, ['ci', 'ended', 'generated', 'manager', 'signer', 'signer, audience', 'signer, lenient', 'signer, life']);
});

test('settings', async () => {
  const read = await api.GET('/settings');
  assert.ok(read.data, JSON.stringify(read.error));
  const { reminders, updated_at, version, ...settings } = read.data;
  assert.deepEqual([reminders.sent, updated_at, version, settings.max_keys], [false, null, 0, null]);
  const save = (etag: string | null, max_keys: number | null) =>
    api.PUT('/settings', { params: { header: { 'If-Match': etag ?? '' } }, body: { ...settings, max_keys } });
  const saved = await save(read.response.headers.get('ETag'), 50);
  assert.equal(saved.data?.max_keys, 50);
  const stale = await save(read.response.headers.get('ETag'), 60);
  assert.equal(stale.response.status, 412);
  const lifted = await save(saved.response.headers.get('ETag'), null);
  assert.equal(lifted.data?.max_keys, null);
});
