import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { Client } from 'pg';
import { io, type Socket } from 'socket.io-client';
import { WebSocket } from 'ws';
import { catamount } from '../cluster/primary/operator';
import { linkPackages } from '../support/app-folder';
import { Load } from '../support/load';
import { createDatabase } from '../support/postgres';
import type { Tree, TreeOptions } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';

const ROOT = path.resolve(__dirname, '../..');
/** An existing app: sessions, static files, uploads, events, a webhook, WebSockets, its own pool, log and migrations. */
const BEFORE = path.join(ROOT, 'test/fixtures/koa-app');
/** Those of its files that differ under Catamount. */
const MOVED = path.join(ROOT, 'test/fixtures/koa-app-moved');
const MAX_LINES = 15;

const SECRET = 'of the payment service';
const ENV = { COOKIE_KEY: 'a key', HOOK_SECRET: SECRET };
/** The transports of socket.io's client. The first is its default: it polls, then upgrades. */
const TRANSPORTS = [['polling', 'websocket'], ['websocket'], ['polling']] as const;

/** Copies the app's files and links the packages that it depends on. @returns the path of its entry file. */
function layOut(folder: string, ...sources: readonly string[]): string {
  for (const source of sources) fs.cpSync(source, folder, { recursive: true });
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  linkPackages(
    folder,
    Object.keys(dependencies).filter((name) => name !== 'catamount'),
  );
  return path.join(folder, 'server.js');
}

/** A form with one file, whose second half is sent when `finish` is called. */
class SlowUpload {
  private readonly sent: http.ClientRequest;
  private readonly answer: Promise<readonly [http.IncomingMessage]>;

  constructor(tree: Tree) {
    this.sent = http.request(`${tree.baseUrl}/files`, {
      method: 'POST',
      agent: false,
      headers: { 'Content-Type': 'multipart/form-data; boundary=b1' },
    });
    this.answer = once(this.sent, 'response') as Promise<[http.IncomingMessage]>;
    this.sent.write('--b1\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n');
    this.sent.write(Buffer.alloc(200_000, 7));
  }

  /** Resolves when the connection is lost before a response. */
  async isCut(): Promise<void> {
    await assert.rejects(this.answer);
  }

  async finish(): Promise<readonly [number | undefined, unknown]> {
    this.sent.write(Buffer.alloc(200_000, 8));
    this.sent.end('\r\n--b1--\r\n');
    const [response] = await this.answer;
    return [response.statusCode, JSON.parse(await text(response))];
  }
}

/** Server-sent events, as text. */
class Stream {
  heard = '';
  ended: 'in order' | 'cut' | undefined;

  private constructor(response: http.IncomingMessage) {
    response.setEncoding('utf8').on('data', (chunk: string) => {
      this.heard += chunk;
    });
    response.on('end', () => {
      this.ended = 'in order';
    });
    response.on('error', () => {
      this.ended = 'cut';
    });
  }

  static async open(tree: Tree): Promise<Stream> {
    const request = http.get(`${tree.baseUrl}/events`, { agent: false });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    const stream = new Stream(response);
    await until('the stream greets', () => stream.heard === 'data: hello\n\n');
    return stream;
  }
}

async function chat(tree: Tree): Promise<WebSocket> {
  const socket = new WebSocket(`${tree.baseUrl.replace('http', 'ws')}/chat`);
  await once(socket, 'open');
  socket.send('hello');
  assert.equal(String((await once(socket, 'message'))[0]), 'you said hello');
  return socket;
}

/** A WebSocket whose client keeps its end open, whatever the server sends. */
async function silentChat(tree: Tree): Promise<net.Socket> {
  const { hostname, port } = new URL(tree.baseUrl);
  const socket = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  socket.on('error', () => undefined);
  const upgrade = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
  socket.write(`${upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
  assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 101 /);
  return socket;
}

/** A socket.io client that bids, and the reasons for which its connections ended. */
class Bidder {
  readonly left: string[] = [];
  private readonly socket: Socket;

  constructor(tree: Tree, transports: readonly string[]) {
    const options = { path: '/auction', forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 200 };
    this.socket = io(tree.baseUrl, { ...options, transports: [...transports] });
    this.socket.on('disconnect', (reason) => this.left.push(reason));
  }

  /** @returns the pid of the process that answered. */
  async bid(): Promise<number> {
    const answer = (await this.socket.emitWithAck('bid', 7)) as { readonly pid: number; readonly amount: number };
    assert.equal(answer.amount, 8);
    return answer.pid;
  }

  get connected(): boolean {
    return this.socket.connected;
  }

  get transport(): string {
    return this.socket.io.engine.transport.name;
  }

  close(): void {
    this.socket.disconnect();
  }
}

async function asksEachOnce(tree: Tree): Promise<void> {
  const first = await tree.request('GET', '/visits');
  assert.deepEqual(first.json(), { visits: 1 });
  const cookie = (first.headers['set-cookie'] ?? []).map((one) => one.split(';')[0]).join('; ');
  assert.match(cookie, /bazaar\.sig=/);
  assert.deepEqual((await tree.request('GET', '/visits', { headers: { cookie } })).json(), { visits: 2 });
  assert.equal((await tree.request('GET', '/hours.txt')).body, 'Open from nine to five.\n');
  // The signature covers exactly these bytes, which no serializer would write like this.
  const body = '{ "amount":  100 }';
  const signed = createHmac('sha256', SECRET).update(body).digest('hex');
  const pay = (signature: string) =>
    tree.request('POST', '/hooks/payment', { body, headers: { 'X-Signature': signature } });
  assert.deepEqual((await pay(signed)).json(), { paid: 100 });
  assert.equal((await pay(signed.replace(/^./, (digit) => (digit === '0' ? '1' : '0')))).status, 401);
  assert.deepEqual(await new SlowUpload(tree).finish(), [200, { name: 'a.bin', bytes: 400_000 }]);
  assert.deepEqual((await tree.request('GET', '/report?name=sales')).json(), { report: 'sales' });
  assert.equal((await tree.request('GET', '/nothing')).status, 404);
  (await chat(tree)).close();
  for (const transports of TRANSPORTS) {
    const bidder = new Bidder(tree, transports);
    await bidder.bid();
    bidder.close();
  }
}

describe('an existing Koa app', () => {
  const deployment = useDeployment({ database: createDatabase });
  let alone: TreeOptions;
  before(async () => {
    alone = appIn('alone', BEFORE);
    assert.match(knex('alone', 'migrate:latest'), /Batch 1 run: 1 migrations/);
  });

  const appIn = (name: string, ...sources: readonly string[]) => {
    const folder = path.join(deployment.folder, name);
    return { entry: layOut(folder, ...sources), env: { ...ENV, WEB_CONCURRENCY: '1' } };
  };

  it(`is adopted in at most ${MAX_LINES} lines`, () => {
    const lines = fs.readdirSync(MOVED).map((file) => {
      const both = [path.join(BEFORE, file), path.join(MOVED, file)];
      try {
        execFileSync('git', ['diff', '--no-index', '--numstat', ...both], { encoding: 'utf8' });
        return 0;
      } catch (differs) {
        const [added, removed] = String((differs as { readonly stdout: string }).stdout)
          .split('\t')
          .map(Number);
        return Math.max(Number(added), Number(removed));
      }
    });
    const sum = lines.reduce((all, one) => all + one, 0);
    assert.ok(sum > 0 && sum <= MAX_LINES, `${sum} lines were changed or added`);
  });

  /** Blocks every report until the lock is released. */
  const lock = async () => {
    const key = new Client({ connectionString: deployment.database.url });
    await key.connect();
    await key.query('select pg_advisory_lock(4711)');
    return key;
  };

  /** Runs knex's own command, as the app does without Catamount. */
  const knex = (folder: string, command: string) =>
    execFileSync(process.execPath, [path.join(ROOT, 'node_modules/knex/bin/cli.js'), command], {
      cwd: path.join(deployment.folder, folder),
      env: { ...process.env, DATABASE_URL: deployment.database.url },
      encoding: 'utf8',
    });

  it('serves without Catamount', async () => {
    const tree = await deployment.start(alone);
    await asksEachOnce(tree);
    await Stream.open(tree);
    await tree.stop();
  });

  it('keeps its history of migrations, with which its own command still works', async () => {
    const migrating = deployment.spawn({ ...appIn('moved', BEFORE, MOVED), args: ['migrate'] });
    assert.equal((await migrating.exited).code, 0);
    assert.equal(migrating.linesMatching(/applied migration \d+_create_jobs/).length, 1);
    assert.deepEqual(migrating.linesMatching(/create_payments/), []);
    assert.match(knex('moved', 'migrate:latest'), /Already up to date/);
  });

  it('serves the same under Catamount, and a phased restart cuts off no client', async () => {
    const tree = await deployment.start(appIn('moved-on', BEFORE, MOVED));
    await asksEachOnce(tree);

    const key = await lock();
    const bidders = TRANSPORTS.map((transports) => new Bidder(tree, transports));
    try {
      const [old] = await Promise.all(bidders.map((bidder) => bidder.bid()));
      await until('the client that can upgrade has done so', () => bidders[0]?.transport === 'websocket');
      const [stream, socket] = await Promise.all([Stream.open(tree), chat(tree)]);
      const closed = once(socket, 'close');
      const from = tree.lines.length;
      const report = tree.request('GET', '/report?name=taxes');
      await tree.waitForLine(/"report":"taxes"/, { from });
      const upload = new SlowUpload(tree);
      const load = new Load(tree.baseUrl, 4, (n) => (n % 2 === 0 ? '/visits' : '/hours.txt'));
      await load.more(50);

      const restarted = catamount(tree.cwd, 'phased-restart');
      await until('the stream has ended', () => stream.ended);
      assert.deepEqual([stream.ended, stream.heard], ['in order', 'data: hello\n\nevent: goodbye\ndata:\n\n']);
      assert.equal((await closed)[0], 1001);
      await tree.waitForLine(/"code":1001.*"a chat has ended"/, { from });
      for (const bidder of bidders)
        await until(`${bidder.transport} is connected again`, () => bidder.left.length > 0 && bidder.connected);
      for (const pid of await Promise.all(bidders.map((bidder) => bidder.bid()))) assert.notEqual(pid, old);
      // The old worker still waits for these, and the tree serves meanwhile.
      assert.deepEqual(tree.linesMatching(/phase 1 completed/), []);
      assert.deepEqual(await upload.finish(), [200, { name: 'a.bin', bytes: 400_000 }]);
      await key.query('select pg_advisory_unlock(4711)');
      const { status, body } = await report;
      assert.deepEqual([status, body], [200, '{"report":"taxes"}']);

      const { code, stderr } = await restarted;
      assert.equal(code, 0, stderr);
      await load.more(50);
      assert.deepEqual((await load.stop()).failures, {});
      await asksEachOnce(tree);
      assert.deepEqual(tree.linesMatching(/aborted|killed/), []);
    } finally {
      for (const bidder of bidders) bidder.close();
      await key.end();
    }
    await tree.stop();
    await tree.allGone();
    await until('its last line has been logged', () => tree.linesMatching(/stopped in .* 0 killed/).length === 1);
  });

  it('has exactly those requests named in the log that a phased restart cannot wait for', async () => {
    const { entry, env } = appIn('hurried', BEFORE, MOVED);
    const tree = await deployment.start({ entry, env: { ...env, SHUTDOWN_TIMEOUT: '3s' } });
    const key = await lock();
    const silent = await silentChat(tree);
    try {
      const report = tree.request('GET', '/report?name=taxes').then(
        () => 'answered',
        () => 'cut',
      );
      await tree.waitForLine(/"report":"taxes"/);
      const uploadIsCut = new SlowUpload(tree).isCut();
      await catamount(tree.cwd, 'phased-restart');
      const aborted = () =>
        tree.linesMatching(/was aborted after/).flatMap(({ json }) => String(json.msg).match(/^\S+ \S+/) ?? []);
      await until('all have been named', () => aborted().length >= 3);
      assert.deepEqual(aborted().sort(), ['GET /chat', 'GET /report', 'POST /files']);
      assert.equal(await report, 'cut');
      await uploadIsCut;
    } finally {
      silent.destroy();
      await key.end();
    }
    assert.deepEqual((await tree.request('GET', '/report?name=sales')).json(), { report: 'sales' });
    await tree.stop();
  });
});
