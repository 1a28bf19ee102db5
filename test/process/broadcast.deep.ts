import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { WebSocket } from 'ws';
import { catamount } from '../cli/cli-process';
import { guideBlock } from '../guide-blocks';
import { linkPackages, writeFiles } from '../support/app-folder';
import { tell } from '../support/replicated-redis';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { CONNECTIONS_TO_REDIS, useDeployment } from './deployment';

/** The chat of the guide. Each worker also notes the sockets that it accepts. */
const FILES = {
  'server.js': `require('catamount').boot(require('./app'));`,
  'app.js': `module.exports = require('catamount').defineApp({
  name: 'chat',
  root: __dirname,
  routes: () => import('./routes.js'),
  server: (server) => {
    require('./sockets')(server);
    server.on('upgrade', () => require('node:fs').appendFileSync('accepted', process.pid + '\\n'));
  },
});`,
  'sockets.js': guideBlock('lib/web/README.md', '// sockets.js'),
  'routes.js': `const SayJob = require('./jobs/say');
module.exports = (router) => {
  router.post('/say-later', async (ctx) => {
    await SayJob.performLater(ctx.query.words);
    ctx.status = 202;
  });
};`,
  'jobs/say.js': `const { broadcast, Job } = require('catamount');
module.exports = class SayJob extends Job {
  perform(words) { broadcast('chat', { words }); }
};`,
  'say.js': `const { broadcast } = require('catamount');
module.exports = (words) => broadcast('chat', { words });`,
};

/** A client, and what it has heard on each of its connections. */
class Client {
  readonly heard: string[][] = [];
  private socket: WebSocket | undefined;
  private leaving = false;

  constructor(
    private readonly tree: Tree,
    private readonly reconnects = false,
  ) {}

  async open(): Promise<this> {
    const socket = new WebSocket(`${this.tree.baseUrl.replace('http', 'ws')}/chat`);
    this.socket = socket;
    const heard: string[] = [];
    socket.on('message', (data) => heard.push((JSON.parse(String(data)) as { readonly words: string }).words));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.reconnects && !this.leaving) void this.open();
    });
    await once(socket, 'open');
    this.heard.push(heard);
    return this;
  }

  get now(): readonly string[] {
    return this.heard.at(-1) ?? [];
  }

  say(words: string): void {
    this.socket?.send(words);
  }

  close(): void {
    this.leaving = true;
    this.socket?.terminate();
  }
}

describe('a chat over two trees on one Redis', () => {
  const deployment = useDeployment();
  let entry: string;
  let trees: readonly [Tree, Tree];
  const clients = new Map<Tree, Client[]>();
  before(async () => {
    const folder = path.join(deployment.folder, 'chat');
    writeFiles(folder, FILES);
    linkPackages(folder, ['ws']);
    entry = path.join(folder, 'server.js');
    trees = await Promise.all([start(), start()]);
    for (const tree of trees) clients.set(tree, await clientsOfAllWorkers(tree));
  });
  after(async () => {
    for (const client of [...clients.values()].flat()) client.close();
  });

  const start = async (env: Readonly<Record<string, string>> = {}) => {
    const tree = await deployment.start({ entry, env: { WEB_CONCURRENCY: '2', ...env } });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    return tree;
  };
  /** Opens sockets until each of the two workers has some. */
  const clientsOfAllWorkers = async (tree: Tree): Promise<Client[]> => {
    const opened: Client[] = [];
    const accepted = path.join(tree.cwd, 'accepted');
    await until('both workers have sockets', async () => {
      opened.push(await new Client(tree).open());
      return new Set(fs.readFileSync(accepted, 'utf8').trim().split('\n')).size === 2;
    });
    return opened;
  };
  const of = (tree: Tree) => clients.get(tree) ?? [];
  const all = () => [...clients.values()].flat();
  const hear = (some: readonly Client[], words: string) =>
    until(`all hear ${words}`, () => some.every(({ now }) => now.at(-1) === words));
  const heardTimes = ({ now }: Client, words: string) => now.filter((one) => one === words).length;
  const first = () => trees[0];
  const second = () => trees[1];

  it('every client hears once and in order what one says, whichever worker of whichever tree it is connected to', async () => {
    for (const [n, sender] of all().entries()) {
      const said = Array.from({ length: 5 }, (_, m) => `${n}.${m}`);
      for (const words of said) sender.say(words);
      await hear(all(), said.at(-1) ?? '');
      for (const { now } of all()) assert.deepEqual(now.slice(-said.length), said);
    }
    for (const { now } of all()) assert.equal(new Set(now).size, now.length);
  });

  it('hears what a job and a script say', async () => {
    assert.equal((await first().request('POST', '/say-later?words=by-a-job')).status, 202);
    await hear(all(), 'by-a-job');
    const { code, stderr } = await catamount(path.dirname(entry), ['run', 'say.js', 'by-a-script'], deployment.env);
    assert.equal(code, 0, stderr);
    await hear(all(), 'by-a-script');
    for (const client of all())
      assert.deepEqual([heardTimes(client, 'by-a-job'), heardTimes(client, 'by-a-script')], [1, 1]);
  });

  it('takes no more connections to Redis than an app that broadcasts nothing', async () => {
    const list = String(await tell(deployment.redis, ['CLIENT', 'LIST']))
      .trim()
      .split('\n');
    const own = list.filter((line) => !line.includes('cmd=client|list'));
    assert.equal(own.length, 2 * CONNECTIONS_TO_REDIS, own.join('\n'));
  });

  it('goes on in each tree without Redis, and between them, without doubles, when Redis is back', async () => {
    const [sender] = of(first());
    await deployment.redis.stop();
    sender?.say('without Redis');
    await hear(of(first()), 'without Redis');
    of(second())[0]?.say('in the other tree');
    await hear(of(second()), 'in the other tree');
    await deployment.redis.start();
    let n = 0;
    await until('the other tree hears again', () => {
      sender?.say(`again ${n++}`);
      return of(second()).every(({ now }) => now.at(-1)?.startsWith('again'));
    });
    sender?.say('the end');
    await hear(all(), 'the end');
    for (const { now } of all()) assert.equal(new Set(now).size, now.length);
    for (const { now } of of(second())) assert.ok(!now.includes('without Redis'));
    for (const { now } of of(first())) assert.ok(!now.includes('in the other tree'));
  });

  it('loses nothing for the clients of new workers during a phased restart', async () => {
    const roamers = await Promise.all(Array.from({ length: 6 }, () => new Client(first(), true).open()));
    const [here] = of(second());
    let n = 0;
    let restarted = false;
    const said: string[] = [];
    const restart = catamount(first().cwd, ['phased-restart']).finally(() => {
      restarted = true;
    });
    await until('the restart is over', () => {
      const words = `during ${n++}`;
      said.push(words);
      here?.say(words);
      return restarted;
    });
    const { code, stderr } = await restart;
    assert.equal(code, 0, stderr);
    await until('all have moved to new workers', () => roamers.every(({ heard }) => heard.length > 1));
    said.push('after it');
    here?.say('after it');
    await hear(roamers, 'after it');
    for (const { heard } of roamers) {
      // Between two connections a client may miss some; on each it hears all from its beginning to its end.
      for (const onOne of heard) {
        if (onOne.length > 0) assert.deepEqual(onOne, said.slice(said.indexOf(onOne[0] ?? '')).slice(0, onOne.length));
      }
    }
    for (const roamer of roamers) roamer.close();
  });

  it('has logged no failure of a broadcast, and the trees stop', async () => {
    for (const tree of trees) {
      assert.equal((await tree.stop()).code, 0);
      assert.deepEqual(tree.linesMatching(/broadcast|subscriber|not caught|was killed/), []);
    }
  });
});
