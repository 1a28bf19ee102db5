import assert from 'node:assert/strict';
import os from 'node:os';
import { PROCESSES, processKey } from '../../../lib/job/hint/keys';
import { Job } from '../../../lib/job/job';
import { listProcesses, PROCESS_KEYS } from '../../../lib/job/processes/process-list';
import { readRunning } from '../../../lib/job/processes/running-jobs';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';

const FAST = { heartbeatMs: 20, infoMs: 60 };
const gate = new Gate();

class HeldJob extends Job {
  async perform(): Promise<void> {
    await gate.pass();
  }
}

describe('the list of processes', () => {
  const processes = (options?: { readonly watch: boolean }) => listProcesses(system.redis.client, options);
  const system = useJobSystem({ gate });

  const start = (identity: string) =>
    system.processor([HeldJob], { tuning: FAST, lineage: { identity, dead: [] }, jobs: { concurrency: 3 } });

  it('shows each processor of each tree, and its jobs', async () => {
    const from = Date.now();
    await start('tree-b-0');
    await start('tree-a-1');
    const { id } = await HeldJob.performLater();
    await until('the job is running', () => gate.held === 1);
    const busy = await until('one processor is busy', async () => (await processes()).find((one) => one.busyCount > 0));
    const [{ startedAt, ...job } = assert.fail(), ...more] = await readRunning(system.database.knex);
    assert.deepEqual(
      [job, more],
      [{ id, class: 'HeldJob', queue: 'default', attempt: 1, identity: busy.identity }, []],
    );
    assert.ok(startedAt >= from && startedAt <= Date.now());
    const listed = await processes();
    assert.deepEqual(
      listed.map(({ identity, tree }) => [identity, tree]),
      [
        ['tree-a-1', 'tree-a'],
        ['tree-b-0', 'tree-b'],
      ],
    );
    for (const one of listed) {
      assert.deepEqual([one.host, one.pid, one.concurrency], [os.hostname(), process.pid, 3]);
      assert.deepEqual([one.queues, one.quiet, one.stopping], [['default', 'mailer'], false, false]);
      assert.match(one.version, /^\d+\.\d+\.\d+/);
      assert.ok(one.rssMb > 10 && one.lagP99Ms >= 0 && one.heartbeatAgeMs >= 0 && one.startedAt >= from);
    }
  });

  it('shows at once that a processor is quiet or stopping, and not one that has stopped', async () => {
    const processor = await start('tree-0');
    const other = await start('other-0');
    const shown = async (identity: string) => (await processes()).find((one) => one.identity === identity);
    await until('both processors are listed', async () => (await processes()).length === 2);
    processor.quiet();
    await until('the processor is quiet', async () => (await shown('tree-0'))?.quiet);
    processor.resume();
    await until('the processor is no longer quiet', async () => (await shown('tree-0'))?.quiet === false);
    other.quiet();
    await HeldJob.performLater();
    await until('the job is running', () => gate.held === 1);
    const stopped = system.stopProcessors(60_000);
    await until('the processor is stopping', async () => (await shown('tree-0'))?.stopping);
    gate.open();
    await stopped;
    assert.deepEqual(await processes(), []);
    assert.deepEqual(await system.redis.client.keys('catamount:process*'), []);
  });

  it('forgets a process that was silent for half a minute', async () => {
    const { client } = system.redis;
    const text = JSON.stringify({ identity: 'gone', host: 'far', queues: [] });
    const silentFor = async (ms: number) => {
      await client.zAdd(PROCESSES, { value: 'gone', score: Date.now() - ms });
      await client.set(processKey('gone'), text);
      return (await processes()).map(({ identity }) => identity);
    };
    assert.deepEqual(await silentFor(15_000), ['gone']);
    assert.deepEqual(await silentFor(31_000), []);
    assert.equal(await client.zCard(PROCESSES), 0);
  });

  it('is complete again after one heartbeat when Redis was emptied or restarted', async () => {
    await start('tree-0');
    await until('the processor is listed', async () => (await processes()).length === 1);
    await system.redis.client.flushAll();
    await until('the processor is listed again', async () => (await processes()).length === 1);
    await system.redisServer.kill();
    await assert.rejects(processes());
    await system.redisServer.restart({ wipe: true });
    await until('the processor is listed again', async () => (await processes()).length === 1);
    assert.deepEqual(
      system.eventsNamed('queue.error').filter(({ during }) => /heartbeat/.test(during)),
      [],
    );
  });

  describe('of an idle processor, whose next heartbeat is hours away', () => {
    const IDLE = { heartbeatMs: 3_600_000, infoMs: 3_600_000, idleAfterMs: 0 };
    const { wake } = PROCESS_KEYS;
    const score = async () => Number(await system.redis.client.zScore(PROCESSES, 'idle-0'));
    const startIdle = async () => {
      const lineage = { identity: 'idle-0', dead: [] };
      const processor = await system.processor([HeldJob], { tuning: IDLE, lineage });
      await until('the processor is listed', score);
      await until('its heartbeat lasts for hours, now that it can be woken', async () => {
        await system.redis.client.publish(wake, 'idle-0');
        return (await score()) > Date.now() + 3_600_000;
      });
      return processor;
    };

    it('gets the current state as soon as somebody reads it, which ends all heartbeats that last for hours', async () => {
      const processor = await startIdle();
      await system.redis.client.zAdd(PROCESSES, { value: 'dead-0', score: Date.now() + 3_600_000 });
      await processes({ watch: false });
      assert.ok((await score()) > Date.now() + 3_600_000, 'a scrape of metrics does not count as reading');
      await system.redis.client.set(processKey('idle-0'), 'outdated');
      await processes();
      assert.ok(Number(await system.redis.client.zScore(PROCESSES, 'dead-0')) <= Date.now());
      await until('its current state is listed', async () => (await processes()).length === 1);
      assert.equal(processor.snapshot().quiet, false);
    });
  });
});

const ran: string[] = [];

class NamedJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe('a processor that starts quiet', () => {
  const system = useJobSystem({ empty: [ran] });

  it('as its predecessor was, stays so until it is resumed', async () => {
    const lineage = { identity: 'tree-1', dead: ['tree-0'], quiet: true };
    const processor = await system.processor([NamedJob], { tuning: FAST, lineage });
    assert.ok(processor.snapshot().quiet);
    await NamedJob.performLater('while quiet');
    await until('two heartbeats have passed', async () => (await listProcesses(system.redis.client))[0]?.quiet);
    assert.equal(await system.jobCount(), 1);
    processor.resume();
    await until('the job ran', () => ran.length === 1);
  });
});
