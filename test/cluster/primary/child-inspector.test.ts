import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { childFlags, reportOutput } from '../../../lib/cluster/child-process';
import { ChildInspector } from '../../../lib/cluster/primary/child-inspector';
import { readThreads } from '../../../lib/cluster/primary/thread-stacks';
import type { ThreadStack } from '../../../lib/cluster/status';
import { Events } from '../../../lib/core/events';
import { listeningAddresses } from '../../support/listening-addresses';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';

const ENDLESS = `export function spin(): never { for (;;); }
  // The source is longer than what is built of it.
  const begin = (): void => { console.log('begun'); spin(); };
  setImmediate(begin);`;
const IDLE = `console.log('begun'); setInterval(() => undefined, 60_000)`;
const TSC = path.resolve('node_modules/typescript/bin/tsc');
const TYPES = path.resolve('node_modules/@types');
/** Longer than any reading takes, on a busy machine, too. */
const UNHURRIED_MS = 20_000;
const SLOW_EMIT_MS = 3000;

describe('the stacks of a child', () => {
  let folder: string;
  const children: Child[] = [];
  before(() => {
    folder = tempFolder('stacks');
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.process.kill('SIGKILL');
  });
  after(() => removeFolder(folder));

  /** A process as the primary starts its children. */
  class Child {
    readonly process;
    readonly inspector: ChildInspector;
    readonly output: string[] = [];
    intrusions = 0;

    constructor(file: string) {
      const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const;
      this.process = spawn(process.execPath, ['--enable-source-maps', ...childFlags(null), file], {
        stdio: [...stdio],
      });
      this.inspector = new ChildInspector(this.pid, () => this.intrusions++);
      const events = new Events();
      events.on('child.output', ({ line }) => this.output.push(line));
      reportOutput(this.process, 'child', events, (url) => url !== null && this.inspector.heard(url));
      children.push(this);
    }

    get pid(): number {
      return this.process.pid ?? 0;
    }

    /** What it runs, or why that cannot be read. */
    stacks(limitMs = UNHURRIED_MS): Promise<readonly ThreadStack[] | string> {
      return this.inspector.use(limitMs, readThreads).catch(({ message }: Error) => message);
    }

    async begun(): Promise<this> {
      await until('it has begun', () => this.output.includes('begun'));
      return this;
    }
  }

  function written(name: string, text: string): string {
    const file = path.join(folder, name);
    fs.writeFileSync(file, text);
    return file;
  }

  it('name the file and line of an endless loop, in the source, as often as they are read', async () => {
    const source = written('endless.ts', ENDLESS);
    const options = ['--module', 'commonjs', '--sourceMap', '--removeComments', '--types', 'node'];
    const tsc = spawn(process.execPath, [TSC, source, ...options, '--typeRoots', TYPES]);
    await once(tsc, 'close');
    const child = await new Child(path.join(folder, 'endless.js')).begun();
    for (const _ of [1, 2]) {
      const stacks = await child.stacks();
      assert.ok(Array.isArray(stacks) && stacks.length === 1, String(stacks));
      assert.equal(stacks[0].thread, 'main thread');
      // A frame of Node's own may be on top of them, where it handles the signal.
      const frames = stacks[0].frames.filter((frame: string) => !frame.includes('(node:'));
      const places = frames.slice(0, 2).map((frame: string) => frame.replace(/:\d+\)$/, ''));
      assert.deepEqual(places, [`at spin (${source}:1`, `at Immediate.begin (${source}:3`]);
    }
    await until('its inspector is closed', () => listeningAddresses(child.pid).length === 0);
    assert.deepEqual([child.output, child.intrusions], [['begun'], 0]);
  });

  it('are those of its threads, too', async () => {
    const file = written(
      'threads.js',
      `function blocked() { for (;;); }
       const { isMainThread, Worker } = require('node:worker_threads');
       if (isMainThread) { new Worker(__filename).once('message', () => console.log('begun')); }
       else { require('node:worker_threads').parentPort.postMessage('up'); setTimeout(blocked); }`,
    );
    const child = await new Child(file).begun();
    const frames = await until('the thread is blocked', async () => {
      const stacks = await child.stacks();
      return typeof stacks === 'string' ? undefined : stacks.find(({ thread }) => thread === 'thread 1')?.frames;
    });
    assert.match(frames[0] ?? '', /^at .*blocked .*threads\.js:1:\d+\)$/);
  });

  it('are none while it waits', async () => {
    const child = await new Child(written('idle.js', IDLE)).begun();
    assert.deepEqual(await child.stacks(), []);
  });

  it('leave out what the reading itself makes it run', async () => {
    // Node tells its process that the inspector is open, here for as long as our question takes.
    const slowEmit = `(function emit(type) {
      const end = Date.now() + ${SLOW_EMIT_MS};
      while (type === 'internalMessage' && Date.now() < end);
    })`;
    const file = written(
      'slow-emit.js',
      `process.emit = require('node:vm').runInThisContext(\`${slowEmit}\`, { filename: 'node:events' });
       ${IDLE}`,
    );
    const child = await new Child(file).begun();
    assert.deepEqual(await child.stacks(), []);
  });

  it('are not read of a process that is stopped, whose inspector is closed once it goes on', async () => {
    const child = await new Child(written('stopped.js', IDLE)).begun();
    child.process.kill('SIGSTOP');
    assert.match(String(await child.stacks(200)), /does not answer/);
    child.process.kill('SIGCONT');
    await until('its inspector was opened too late', () => child.intrusions === 1);
    await until('it is closed', () => listeningAddresses(child.pid).length === 0);
    assert.deepEqual(await child.stacks(), []);
  });

  it('are not asked for by a signal that would end it', async () => {
    const deaf = spawn('sleep', ['600']);
    const over = once(deaf, 'exit');
    const inspector = new ChildInspector(deaf.pid ?? 0, () => undefined);
    await assert.rejects(inspector.use(UNHURRIED_MS, readThreads), /does not listen/);
    deaf.kill('SIGTERM');
    assert.deepEqual(await over, [null, 'SIGTERM']);
  });

  it('cannot be read by others: an inspector that somebody opens is closed at once', async () => {
    const child = await new Child(written('opened.js', IDLE)).begun();
    for (const times of [1, 2]) {
      child.process.kill('SIGUSR1');
      await until('that was noticed', () => child.intrusions === times);
      await until('it is closed', () => listeningAddresses(child.pid).length === 0);
    }
    assert.deepEqual(child.output, ['begun']);
  });
});
