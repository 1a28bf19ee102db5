import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type ProcessorOptions, ProcessorSupervisor } from '../../../lib/cluster/primary/processor';
import { Events } from '../../../lib/core/events';
import { Deadline } from '../../../lib/support/deadline';
import { deferred } from '../../../lib/support/deferred';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';

/** A processor that tells how it was started and what it is told. A reply makes it `ready`, `refuse` to start, or exit. */
const PROCESSOR = `
const [own, mode, ...dead] = process.argv.slice(3);
const note = (...words) => process.send({ catamount: 'event', event: { name: [own, ...words].join(' ') } });
note(mode, ...dead);
note(...process.execArgv.filter((flag) => flag.includes('size')));
process.on('message', ({ catamount, identity = [], value }) => {
  if (value === 'ready') process.send({ catamount: 'ready' });
  else if (value === 'refuse') process.send({ catamount: 'boot-failed', message: 'no', exitCode: 78, final: true });
  else if (catamount === 'reply') process.exit(value);
  else note(catamount, ...[identity].flat());
});`;

const NEVER_MS = 600_000;

/** A supervisor whose n-th processor, counted from 0, is called `t-n`. */
class Stage {
  /** What the processors tell. */
  readonly heard: string[] = [];
  /** Each change of whether jobs can be run, and each refusal that is to end the start. */
  readonly reported: (boolean | string)[] = [];
  readonly events = new Events();
  readonly supervisor: ProcessorSupervisor;
  forked = 0;

  constructor(options: Partial<ProcessorOptions> = {}) {
    this.events.on('processor.forked', () => this.forked++);
    this.supervisor = new ProcessorSupervisor(this.events, {
      lineage: 't',
      timeoutMs: NEVER_MS,
      bootTimeoutMs: NEVER_MS,
      drainTimeoutMs: NEVER_MS,
      heapMb: null,
      restarts: { base: 1, max: 1 },
      onRunning: (running) => this.reported.push(running),
      onRefused: ({ message }) => this.reported.push(message),
      ...options,
    });
    this.supervisor.onEvent = ({ name }) => this.heard.push(name);
    stages.push(this);
  }

  receives(text: string): Promise<unknown> {
    return until(`${text} is heard`, () => this.heard.includes(text));
  }

  private handle(n: number) {
    return until(`t-${n} runs`, () => this.supervisor.handles.find(({ identity }) => identity === `t-${n}`));
  }

  async tell(n: number, value: 'ready' | 'refuse' | number): Promise<void> {
    const handle = await this.handle(n);
    handle.send({ catamount: 'reply', id: 0, value });
    if (value === 'refuse') return void (await until('it has refused', () => handle.refusal));
    await (value === 'ready' ? handle.ready : handle.exited).promise;
  }

  async kill(n: number): Promise<void> {
    const handle = await this.handle(n);
    process.kill(handle.pid, 'SIGKILL');
    await handle.exited.promise;
  }
}

const stages: Stage[] = [];

describe('the supervisor of the job processor', () => {
  const {
    argv: [, entry = ''],
    execArgv,
  } = process;
  before(() => {
    // The primary forks its own entry file, with its own flags.
    process.execArgv = [];
    process.argv[1] = path.join(tempFolder('processor'), 'entry.js');
    fs.writeFileSync(process.argv[1], PROCESSOR);
  });
  afterEach(() => Promise.all(stages.splice(0).map(({ supervisor }) => supervisor.stop(Deadline.after(0)))));
  after(() => {
    process.execArgv = execArgv;
    process.argv[1] = entry;
  });

  /** A stage whose processor is ready and is being replaced by one that boots. */
  const replacing = async () => {
    const stage = new Stage();
    stage.supervisor.start();
    await stage.tell(0, 'ready');
    stage.supervisor.quiet();
    const restarted = stage.supervisor.restart(() => 'start-first');
    await stage.receives('t-1 quiet');
    return { stage, restarted };
  };

  it('tries a successor three times, and stops the old processor when one is ready, which fetches and gets its jobs', async () => {
    const { stage, restarted } = await replacing();
    for (const failed of [1, 2]) await stage.tell(failed, 7);
    await stage.tell(3, 'ready');
    await Promise.all(['t-0 stop', 't-3 resume'].map((text) => stage.receives(text)));
    await stage.kill(0);
    await stage.receives('t-3 rescue t-0');
    await restarted;
    assert.deepEqual([stage.reported, stage.forked], [[true, true], 4]);
  });

  it('keeps the old processor, and the tree, when its successor refuses to start', async () => {
    const { stage, restarted } = await replacing();
    await stage.tell(1, 'refuse');
    await Promise.all([stage.tell(1, 78), assert.rejects(restarted, /the job processor cannot boot: no/)]);
    assert.deepEqual([stage.reported, stage.forked, stage.supervisor.handles.length], [[true], 2, 1]);
    const first = new Stage({ heapMb: 99 });
    first.supervisor.start();
    await first.tell(0, 'refuse');
    assert.deepEqual(first.reported, ['Catamount cannot start: no']);
    await first.receives('t-0 --max-semi-space-size=4 --max-old-space-size=99');
  });

  it('stops both when the tree stops during a replacement', async () => {
    const { stage, restarted } = await replacing();
    const stopped = stage.supervisor.stop(Deadline.after(NEVER_MS));
    await Promise.all(['t-0 stop', 't-1 stop'].map((text) => stage.receives(text)));
    await Promise.all([stage.tell(0, 0), stage.tell(1, 0), stopped, restarted]);
    assert.equal(stage.forked, 2);
  });

  it('lets a successor that boots when the old processor dies take its place and its jobs', async () => {
    const { stage, restarted } = await replacing();
    await stage.kill(0);
    await stage.receives('t-1 rescue t-0');
    await stage.tell(1, 'ready');
    await restarted;
    await stage.receives('t-1 resume');
    assert.deepEqual([stage.reported, stage.forked], [[true, false, true], 2]);
  });

  it('restarts one processor when the old one and its successor have died, and can replace that', async () => {
    const { stage, restarted } = await replacing();
    await stage.kill(0);
    const [failed] = await Promise.allSettled([restarted, stage.tell(1, 7)]);
    assert.match(
      String(failed.status === 'rejected' && failed.reason),
      /the job processor cannot boot: it exited with code 7/,
    );
    await stage.receives('t-2 open t-0 t-1');
    await stage.tell(2, 'ready');
    const again = stage.supervisor.restart(() => 'stop-first');
    await stage.receives('t-2 stop');
    assert.equal(stage.forked, 3, 'it has not been stopped yet');
    await stage.tell(2, 0);
    await stage.tell(3, 'ready');
    await again;
    assert.deepEqual([stage.forked, stage.supervisor.policy.next], [4, null]);
    let pauses = 0;
    stage.events.on('processor.restart-scheduled', () => pauses++);
    await stage.kill(3);
    assert.equal(pauses, 1);
  });

  it('starts one processor at once if it is replaced while it waits for its restart, and none if the tree stops', async () => {
    for (const end of ['restart', 'stop'] as const) {
      const stage = new Stage();
      const ended = deferred();
      const { supervisor } = stage;
      stage.events.on('processor.restart-scheduled', async () => {
        if (end === 'restart') await supervisor.restart(() => 'start-first');
        else await supervisor.stop(Deadline.after(NEVER_MS));
        ended.resolve();
      });
      supervisor.start();
      await stage.tell(0, 'ready');
      await stage.kill(0);
      if (end === 'restart') await stage.tell(1, 'ready');
      await ended.promise;
      // The pause before the restart is over.
      await wait(10);
      assert.equal(stage.forked, end === 'restart' ? 2 : 1, end);
    }
  });

  it('obeys the last command, also in successors', async () => {
    const stage = new Stage();
    const { supervisor } = stage;
    const state = () => supervisor.stats(() => null).state;
    supervisor.start();
    await stage.tell(0, 'ready');
    supervisor.quiet();
    await stage.receives('t-0 quiet');
    await stage.kill(0);
    await stage.receives('t-1 quiet t-0');
    await stage.tell(1, 'ready');
    assert.equal(state(), 'quiet', 'that was the last command');
    await stage.kill(1);
    await stage.receives('t-2 quiet t-0 t-1');
    await stage.tell(2, 'ready');
    supervisor.resume();
    await stage.receives('t-2 resume');
    const restarted = supervisor.restart(() => 'start-first');
    await stage.receives('t-3 quiet t-0 t-1');
    supervisor.quiet();
    await stage.tell(3, 'ready');
    await stage.tell(2, 0);
    await restarted;
    const again = supervisor.restart(() => 'start-first');
    await stage.tell(4, 'ready');
    await stage.receives('t-4 resume');
    await stage.tell(3, 0);
    await again;
    assert.deepEqual(
      stage.heard.filter((text) => / (resume|quiet|open)$/.test(text)),
      ['t-0 open', 't-0 quiet', 't-2 resume', 't-2 quiet', 't-4 resume'],
    );
  });

  it('passes the last ten dead on to the next, after a crash loop, too', async () => {
    const stage = new Stage();
    stage.supervisor.start();
    for (let n = 0; n < 11; n++) {
      await stage.tell(n, 7);
      const { state } = stage.supervisor.stats(() => null);
      assert.equal(state, n < 4 ? 'backing_off' : 'crash_loop', `after ${n + 1} deaths`);
    }
    await stage.receives(`t-11 open ${Array.from({ length: 10 }, (_, n) => `t-${n + 1}`).join(' ')}`);
  });

  it('gives a processor the longer of its two time limits to boot, and then kills one that is silent', async () => {
    const limits = [
      { timeoutMs: NEVER_MS, bootTimeoutMs: 1 },
      { timeoutMs: 1, bootTimeoutMs: NEVER_MS },
      { timeoutMs: 1, bootTimeoutMs: 1 },
    ];
    const all = limits.map((each) => new Stage(each));
    for (const { supervisor } of all) supervisor.start();
    await until('the last one is killed', () => all[2]?.supervisor.policy.last?.reason === 'timeout');
    assert.deepEqual(
      all.map(({ supervisor }) => supervisor.policy.last?.reason),
      [undefined, undefined, 'timeout'],
    );
    const silent = new Stage({ timeoutMs: 1 });
    silent.supervisor.start();
    await silent.tell(0, 'ready');
    await until('it is killed, and another is started', () => silent.forked === 2);
    assert.equal(silent.supervisor.policy.last?.reason, 'timeout');
  });
});
