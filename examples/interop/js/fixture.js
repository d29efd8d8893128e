// Starts ../fixture, a Latchkey server with one good token and others that are
// each wrong in one way. Names tests in the form that ../table reads:
// shown | peer | what, or refused | peer | what.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

export const algorithms = ['ES256', 'RS256', 'PS256', 'EdDSA'];

// start runs the fixture and resolves to the facts; see ../testserver. The
// program is the one in LATCHKEY_FIXTURE, or Go builds it. It ends with this
// process, or by stop(). The key may request tokens for the resources, besides
// the server's audience.
export function start(algorithm = 'ES256', ...resources) {
  const args = ['-algorithm', algorithm, ...resources.flatMap((uri) => ['-resource', uri])];
  return run(process.env.LATCHKEY_FIXTURE, ['run', '../fixture'], args);
}

// quickstart runs examples/quickstart and resolves to its facts. The program is
// the one in LATCHKEY_QUICKSTART, or Go builds it.
export const quickstart = () =>
  run(process.env.LATCHKEY_QUICKSTART, ['run', '-C', '../../..', './examples/quickstart'], ['-json', '-addr', '127.0.0.1:0']);

async function run(program, build, args) {
  const [command, all] = program ? [program, args] : ['go', [...build, ...args]];
  const child = spawn(command, all, { stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the program ended with ${code}`)));
  });
  return {
    ...JSON.parse(line),
    stop: () => {
      child.stdin.end();
      child.kill();
    },
  };
}

// bad returns the tokens that a peer must refuse if it verifies tokens itself.
export const bad = ({ tokens }) => ({
  expired: tokens.expired,
  'wrong audience': tokens.wrong_audience,
  'other key': tokens.other_key,
});

export const shows = (peer, what, f) => test(`shown | ${peer} | ${what}`, f);
export const refuses = (peer, what, f) => test(`refused | ${peer} | ${what}`, f);

// opens asserts that the token opens the route of its permission and workspace only.
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
