// Starts ../fixture, a Latchkey server with one token that is good and others
// that are wrong in one way each, and names tests so that the table command
// finds them: shown | peer | what, or refused.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

export const algorithms = ['ES256', 'RS256', 'PS256', 'EdDSA'];

// start resolves to the facts; see ../world/world.go. The environment names
// the program, or Go builds it. It ends with this process, or by stop(). The
// key may ask for tokens for the resources, besides the server's audience.
export async function start(algorithm = 'ES256', ...resources) {
  const args = ['-algorithm', algorithm, ...resources.flatMap((uri) => ['-resource', uri])];
  const [command, all] = process.env.LATCHKEY_FIXTURE
    ? [process.env.LATCHKEY_FIXTURE, args]
    : ['go', ['run', '../fixture', ...args]];
  const child = spawn(command, all, { stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the fixture ended with ${code}`)));
  });
  return { ...JSON.parse(line), stop: () => child.stdin.end() };
}

// bad is the tokens that whoever verifies by himself must refuse.
export const bad = ({ tokens }) => ({
  expired: tokens.expired,
  'wrong audience': tokens.wrong_audience,
  'other key': tokens.other_key,
});

export const shows = (peer, what, f) => test(`shown | ${peer} | ${what}`, f);
export const refuses = (peer, what, f) => test(`refused | ${peer} | ${what}`, f);

// opens asserts what the token opens at the server, and what it does not.
export async function opens(facts, token) {
  const status = async (url) => (await fetch(url, { headers: { Authorization: `Bearer ${token}` } })).status;
  assert.equal(await status(facts.protected_url), 200);
  assert.equal(await status(facts.forbidden_url), 403);
  assert.equal(await status(facts.foreign_url), 404);
}

// listen serves an Express application on a loopback port.
export async function listen(app) {
  const server = await new Promise((resolve, reject) => {
    const it = app.listen(0, '127.0.0.1', (error) => (error ? reject(error) : resolve(it)));
  });
  const stop = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}
