import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { MAX_TRIES } from '../../lib/ops/auth/sign-in-throttle';
import { SIGNED, tokenIn } from '../ops/ops-web';
import { makeCertificate } from '../role/certificates';
import { serverPort } from '../support/server-port';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';

/**
 * Runs nginx with the guide's configuration. No npm package contains its binary, so this file is in no tier: where nginx
 * is installed, run `npm test -- test/process/behind-nginx.hand.ts`. attacks.deep.ts and proxies.test.ts test how the
 * tree reads the headers.
 */
describe('behind nginx with the configuration of the guide', () => {
  const deployment = useDeployment();
  let tree: Tree;
  let nginx: ChildProcess;
  let port: number;
  before(async () => {
    const limits = { SIGN_UPS_PER_ADDRESS: '2/1h' };
    tree = await deployment.start({ env: { ...SIGNED, ...limits, APP_URL: 'https://shop.example', TRUST_PROXY: '1' } });
    port = await serverPort();
    nginx = spawn('nginx', ['-p', deployment.folder, '-c', await configure(), '-e', 'stderr'], { stdio: 'inherit' });
    await until(
      'nginx listens',
      async () => (await ask('127.0.0.2', 'GET', '/health').catch(() => undefined))?.status === 200,
    );
  });
  after(async () => {
    if (nginx?.exitCode === null) {
      nginx.kill('SIGTERM');
      await once(nginx, 'exit');
    }
  });

  /** Writes a complete configuration that includes the guide's. @returns its path. */
  async function configure(): Promise<string> {
    const { chain, key } = await makeCertificate();
    const written = { 'shop.pem': chain, 'shop.key': key };
    for (const [name, content] of Object.entries(written))
      fs.writeFileSync(path.join(deployment.folder, name), content);
    const guide = fs.readFileSync(path.resolve(__dirname, '../../lib/cluster/hosts.md'), 'utf8');
    const [, site = ''] = /```nginx\n(.*?)```/s.exec(guide) ?? [];
    const own = site
      .replace('listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`)
      .replace('127.0.0.1:3000', new URL(tree.baseUrl).host)
      .replaceAll('/etc/nginx/', `${deployment.folder}/`);
    assert.notEqual(own, site);
    const file = path.join(deployment.folder, 'nginx.conf');
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${deployment.folder}/${name};`,
    );
    const main = `daemon off; worker_processes 1; pid ${deployment.folder}/nginx.pid; events {}`;
    fs.writeFileSync(file, `${main}\nhttp { access_log off; ${temporary.join(' ')}\n${own}}\n`);
    return file;
  }

  interface Given {
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  }

  /** Sends a request to nginx over TLS from an address of this machine, with forged headers about the client. */
  async function ask(from: string, method: string, target: string, { headers = {}, body }: Given = {}) {
    const forged = { Host: 'shop.example', 'X-Forwarded-For': '203.0.113.99', 'X-Forwarded-Proto': 'http' };
    const sent = https.request({
      ...{ host: '127.0.0.1', port, path: target, method, localAddress: from, agent: false, rejectUnauthorized: false },
      headers: { ...forged, ...headers },
    });
    sent.end(body);
    const [answer] = (await once(sent, 'response')) as [import('node:http').IncomingMessage];
    return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
  }

  const cookies = (headers: IncomingHttpHeaders) => headers['set-cookie'] ?? [];

  async function signIn(from: string, password: string) {
    const page = await ask(from, 'GET', '/ops/sign-in');
    const fields = { name: SIGNED.OPS_USER, password, token: tokenIn(page.body) };
    const headers = {
      'Content-Type': 'application/x-www-form-urlencoded',
      Origin: 'https://shop.example',
      Cookie: cookies(page.headers)
        .map((cookie) => cookie.split(';')[0])
        .join('; '),
    };
    return ask(from, 'POST', '/ops/sign-in', { headers, body: new URLSearchParams(fields).toString() });
  }

  it('sign-ups are limited and logged by the address of the client, whatever its headers claim', async () => {
    const signUp = async (from: string, name: string) => {
      const body = JSON.stringify({ email: `${name}@${name}.example`, name });
      return (await ask(from, 'POST', '/users', { headers: { 'Content-Type': 'application/json' }, body })).status;
    };
    const statuses = [];
    for (const name of ['ada', 'bob', 'cid']) statuses.push(await signUp('127.0.0.2', name));
    assert.deepEqual(statuses, [201, 201, 429]);
    assert.equal(await signUp('127.0.0.3', 'dot'), 201);
    await deployment.sink.waitFor(3);
    await tree.waitForLine(/"remoteAddress":"127\.0\.0\.3"/);
    assert.ok(tree.linesMatching(/"remoteAddress":"127\.0\.0\.2"/).length >= 3);
    assert.deepEqual(tree.linesMatching(/203\.0\.113\.99/), []);
  });

  it('an operator gets Secure cookies, and guesses lock out only the address that they come from', async () => {
    const open = await signIn('127.0.0.3', SIGNED.OPS_PASSWORD);
    assert.equal(open.status, 303, open.body);
    assert.ok(cookies(open.headers).length > 0);
    for (const cookie of cookies(open.headers)) assert.match(cookie, /; Secure/);
    const guesses = [];
    for (let n = 0; n < MAX_TRIES + 1; n++) guesses.push((await signIn('127.0.0.2', `guess ${n}`)).status);
    assert.deepEqual(guesses.slice(-2), [401, 429]);
    assert.equal((await signIn('127.0.0.2', SIGNED.OPS_PASSWORD)).status, 429);
    assert.equal((await signIn('127.0.0.3', SIGNED.OPS_PASSWORD)).status, 303);
  });
});
