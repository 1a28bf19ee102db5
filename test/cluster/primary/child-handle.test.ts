import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { BootFailure } from '../../../lib/cluster/messages';
import { ChildHandle, sumOutcomes } from '../../../lib/cluster/primary/child-handle';
import { RestartPolicy } from '../../../lib/cluster/primary/restart-policy';
import type { Activity } from '../../../lib/cluster/status';
import { Events } from '../../../lib/core/events';
import type { ProcessMetrics } from '../../../lib/core/process-metrics';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';

type FromTestChild = { readonly catamount: 'ready' } | BootFailure;

const READY = `process.send({ catamount: 'ready' });`;
const STAYS = `process.on('message', () => undefined);`;

/** A process that runs a few lines of JavaScript. */
class TestChild extends ChildHandle<FromTestChild> {
  /** Overrides the age of its last message, ms. */
  silentMs: number | undefined;

  constructor(
    code: string,
    readonly heard = new Events(),
    program = process.execPath,
  ) {
    super(spawn(program, ['-e', code], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] }), 'child', 'child', heard);
    children.push(this);
  }

  override get heartbeatAgeMs(): number {
    return this.silentMs ?? super.heartbeatAgeMs;
  }

  readonly inFlight = [];
  status: ProcessMetrics | undefined;

  setReporter(): void {}

  protected receive(message: FromTestChild): void {
    if (message.catamount === 'boot-failed') this.failure = message;
    else this.becomeReady();
    this.ready.resolve();
  }

  protected reportUnresponsive(): Activity {
    return { what: 'SlowJob on default' };
  }
}

const NEVER_MS = 600_000;
const children: TestChild[] = [];

/** Kills what a failed test leaves behind. */
function killAll(): void {
  for (const child of children.splice(0)) if (child.termination === null) child.kill('the test is over');
}

describe('a child process', () => {
  afterEach(killAll);

  for (const [what, printed, reported] of [
    [
      'the error on its stderr',
      'app.js:5\\nboot();\\n^\\n\\nShopError: broken\\n  at x\\n\\nNode.js v20.20.2',
      'ShopError: broken',
    ],
    ['its last lines of stderr', 'no warehouse\\nno shop', 'no warehouse / no shop'],
  ] as const)
    it(`that dies at boot is reported with ${what}`, async () => {
      const child = new TestChild(
        // Messages of the app itself are none of ours.
        `process.send('ready'); process.send({ own: 1 }); console.error('${printed}'); process.on('message', () => process.exit(1))`,
      );
      const lines: string[] = [];
      child.heard.on('child.output', ({ line }) => lines.push(line));
      await until('all of its output has been read', () => lines.length === printed.split('\\n').length);
      child.send({ catamount: 'stop', remainingMs: 0, handOff: false });
      await child.exited.promise;
      assert.deepEqual([child.termination?.reason, child.termination?.message], ['boot', reported]);
    });

  it('that reports why it cannot start is reported with that reason', async () => {
    const failure: BootFailure = { catamount: 'boot-failed', message: 'no queue "mial"', exitCode: 78, final: true };
    const child = new TestChild(`process.send(${JSON.stringify(failure)}, () => process.exit(78))`);
    await child.ready.promise;
    await child.exited.promise;
    assert.equal(child.exitMessage, 'no queue "mial"');
    assert.deepEqual(
      [child.refusal?.message, child.refusal?.exitCode],
      ['Catamount cannot start: no queue "mial"', 78],
    );
  });

  it('that cannot even be forked has died at boot', async () => {
    const child = new TestChild('', new Events(), '/no/such/program');
    await child.exited.promise;
    assert.equal(child.termination?.reason, 'boot');
  });

  it('that dies after it was ready is reported with its signal', async () => {
    const child = new TestChild(READY + STAYS);
    await child.ready.promise;
    child.kill('a test');
    assert.deepEqual(await child.exited.promise, { code: null, signal: 'SIGKILL' });
    const { reason, message, signal } = child.termination ?? {};
    assert.deepEqual(
      [reason, message, signal, child.exitMessage],
      ['crash', null, 'SIGKILL', 'it was ended by SIGKILL'],
    );
  });

  it('that is unresponsive is killed and reported with its activity, but not while it drains', async () => {
    const [child, draining] = [new TestChild(READY + STAYS), new TestChild(READY + STAYS)];
    await Promise.all([child.ready.promise, draining.ready.promise]);
    const stop = draining.stop(Deadline.after(1500));
    for (const each of [child, draining]) each.watch({ timeoutMs: 0, bootTimeoutMs: NEVER_MS });
    assert.equal(draining.killed, false);
    await child.exited.promise;
    const { reason, activity, heartbeatAgeMs } = child.termination ?? {};
    assert.deepEqual([reason, activity, heartbeatAgeMs !== null], ['timeout', { what: 'SlowJob on default' }, true]);
    assert.deepEqual(await stop, { killed: 1, failed: 0 });
  });

  it('that is not ready in time is killed', async () => {
    const child = new TestChild(STAYS);
    child.watch({ timeoutMs: 0, bootTimeoutMs: NEVER_MS });
    assert.equal(child.killed, false);
    child.watch({ timeoutMs: NEVER_MS, bootTimeoutMs: 0 });
    await child.exited.promise;
    assert.deepEqual([child.termination?.reason, child.exitMessage], ['timeout', 'it was not ready in time']);
    assert.equal(child.isPermanentFailure, true, 'no other is tried, which would take as long');
  });

  it('has not served yet while it boots', async () => {
    const from = performance.now();
    const child = new TestChild(READY + STAYS);
    await child.ready.promise;
    assert.ok(child.bootMs + child.servedMs <= performance.now() - from + 1);
  });

  it('may report for the tree while it is ready and responsive', async () => {
    const child = new TestChild(READY + STAYS);
    assert.equal(child.isHealthy, false);
    await child.ready.promise;
    assert.equal(child.isHealthy, true);
    child.silentMs = 3000;
    assert.equal(child.isHealthy, false);
  });

  it('counts as killed by a stop only if it was killed', async () => {
    const orderly = new TestChild(`${READY} process.on('message', () => process.exit(0))`);
    const broken = new TestChild(`${READY} process.on('message', () => process.exit(3))`);
    const shot = new TestChild(`${READY} process.on('message', () => process.kill(process.pid, 'SIGKILL'))`);
    const unready = new TestChild(`process.on('message', () => process.exit(3))`);
    await Promise.all([orderly.ready.promise, broken.ready.promise, shot.ready.promise]);
    assert.deepEqual(await unready.stop(Deadline.after(NEVER_MS)), { killed: 0, failed: 0 }, 'it had no work');
    assert.deepEqual(await orderly.stop(Deadline.after(NEVER_MS)), { killed: 0, failed: 0 });
    const failed = await broken.stop(Deadline.after(NEVER_MS));
    assert.deepEqual([failed, await shot.stop(Deadline.after(NEVER_MS))], Array(2).fill({ killed: 0, failed: 1 }));
    assert.deepEqual(sumOutcomes([{ killed: 1, failed: 1 }, failed]), { killed: 1, failed: 2 });
  });
});

describe('the restart policy', () => {
  afterEach(killAll);

  it('doubles the delay with each death and resets it for a child that had served', () => {
    const policy = new RestartPolicy({ base: 10, stableMs: 5000 });
    const wait = (servedMs: number) => policy.schedule(servedMs, () => undefined);
    assert.deepEqual(
      [wait(0), wait(4999)].map(({ waitMs }) => waitMs),
      [10, 20],
    );
    assert.equal(policy.next?.attempt, 2);
    assert.deepEqual(wait(5000), { waitMs: 10, attempt: 1 });
    policy.served();
    assert.equal(policy.next, null);
    assert.deepEqual(wait(4999), { waitMs: 20, attempt: 2 }, 'it was ready, but has not served for long');
    policy.cancel();
    const usual = new RestartPolicy();
    const waits = Array.from({ length: 10 }, () => {
      const { waitMs } = usual.schedule(4999, assert.fail);
      usual.cancel();
      return waitMs;
    });
    assert.deepEqual([waits[0], waits[1], waits.at(-1)], [100, 200, 30_000]);
  });

  it('gives up when children die at boot, not counting those that had been ready', async () => {
    const policy = new RestartPolicy();
    const [unborn, served] = [new TestChild(STAYS), new TestChild(READY + STAYS)];
    await served.ready.promise;
    for (const child of [unborn, served]) child.kill('a test');
    await Promise.all([unborn.exited.promise, served.exited.promise]);
    assert.deepEqual([policy.bootDied(unborn, 2), policy.bootDied(served, 2)], [undefined, undefined]);
    policy.served();
    assert.equal(policy.bootDied(unborn, 2), undefined, 'it was not the second in a row');
    assert.match(policy.bootDied(unborn, 2)?.message ?? '', /child died 2 times at boot: it was ended by SIGKILL/);
  });
});
