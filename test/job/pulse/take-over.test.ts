import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Job } from '../../../lib/job/job';
import type { ProcessorTuning } from '../../../lib/job/processor';
import { PROCESSES } from '../../../lib/job/pulse/process-keys';
import { transaction } from '../../../lib/model/transaction';
import { SeverableProxy } from '../../app/severable-proxy';
import { until } from '../../support/until';
import { BlockingJob, LongJob, startDoomedProcessor } from '../doomed-processor';
import { JobSystem } from '../job-system';

const SILENCE_MS = 2000;
/** A twelfth of the real times, but for the stall check, which must not be what brings jobs back. */
const FAST: ProcessorTuning = { pulseMs: 80, beatMs: 400, silenceMs: SILENCE_MS, stallInterval: 600_000 };
/** Processes are forked, which takes seconds where others work at the same time. */
const ran: string[] = [];

class TakenJob extends Job<[name: string]> {
  static override jobName = 'LongJob';

  perform(name: string): void {
    ran.push(`${name} ${this.context.attempt}`);
  }
}

describe('a processor that falls silent', () => {
  let system: JobSystem;
  const children: ChildProcess[] = [];
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());
  beforeEach(async () => {
    await system.reset();
    ran.length = 0;
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  /** In a process of its own, with what its jobs have said so far. */
  const startDoomed = (identity: string, redis = system.redisServer.url) => {
    const child = startDoomedProcessor({ database: system.postgres.url, redis }, identity, FAST);
    children.push(child);
    const said: string[] = [];
    child.on('message', (name: string) => said.push(name));
    return { child, said };
  };
  const judge = () => system.processor([TakenJob], { tuning: FAST });
  const takenOver = () => system.eventsNamed('processor.taken-over');
  const kill = async (child: ChildProcess) => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  const passed = (ms: number) => {
    const from = performance.now();
    return until(`${ms} ms have passed`, () => performance.now() - from > ms, { timeoutMs: ms + 10_000 });
  };
  /** Long enough for every judge to have judged several times. */
  const judgements = () => passed(2.5 * SILENCE_MS);

  it('has its jobs run by another, counted as delivered and no attempt burnt; by one only, of many', async () => {
    const { child, said } = startDoomed('a-tree-0');
    await transaction(() => LongJob.performLater('from the outbox'));
    await LongJob.performLater('straight');
    await until('it holds both', () => said.length === 2);
    await judge();
    await judge();
    await passed(1.2 * SILENCE_MS);
    await kill(child);
    const since = performance.now();
    await until('both ran here', () => ran.length === 2);
    const tookMs = performance.now() - since;
    assert.ok(tookMs < 1.2 * SILENCE_MS, `${tookMs} ms`);
    assert.deepEqual(ran.sort(), ['from the outbox 1', 'straight 1']);
    const [event = assert.fail(), ...more] = takenOver();
    assert.deepEqual([event.identity, event.pid, event.jobs, more], ['a-tree-0', child.pid, 2, []]);
    assert.equal(system.eventsNamed('job.rescued').length, 2);
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
    assert.ok(!(await system.redis.client.zRange(PROCESSES, 0, -1)).includes('a-tree-0'));
  });

  it('has what it held counted as delivered, since that may have killed it', async () => {
    const { child, said } = startDoomed('first');
    await LongJob.performLater('held');
    await until('it holds it', () => said.length === 1);
    // Takes over, but takes nothing: what is taken over stays to be seen.
    const processor = await judge();
    processor.quiet();
    await kill(child);
    await until('it is taken over', () => takenOver().length === 1);
    const [fence = ''] = await system.redis.client.hVals('bq:default:deliveries');
    assert.match(fence, /^1:first\./);
    processor.resume();
    await until('it ran', () => ran.length === 1);
  });

  it('is left alone while a job blocks its event loop for less', async () => {
    const { said } = startDoomed('blocked');
    await BlockingJob.performLater('blocking', 0.8 * SILENCE_MS);
    await until('it blocks', () => said.length === 1);
    await judge();
    await judgements();
    assert.deepEqual(takenOver(), []);
    assert.deepEqual(said, ['blocking'], 'it ran once');
    assert.equal(await system.redis.client.hLen('bq:default:jobs'), 0, 'and is done');
  });

  it('was blocked only, too long: its job counts as done if nobody has begun it anew', async () => {
    // There before, since who has not been here for long does not judge.
    const processor = await judge();
    processor.quiet();
    const { said } = startDoomed('blocked');
    await transaction(() => BlockingJob.performLater('blocking', 1.8 * SILENCE_MS));
    await until('it blocks', () => said.length === 1);
    await until('it is taken over', () => takenOver().length === 1);
    assert.equal(await system.redis.client.lLen('bq:default:waiting'), 1);
    await until('it is done', async () => (await system.redis.client.hLen('bq:default:jobs')) === 0);
    assert.equal(await system.redis.client.lLen('bq:default:waiting'), 0);
    await until('its row is gone', async () => (await system.outboxSize()) === 0);
    assert.deepEqual(said, ['blocking']);
  });

  it('again and again, for its job always takes too long: it is done all the same, and no poison', async () => {
    const [one, other] = [startDoomed('one'), startDoomed('other')];
    const listed = async () => (await system.redis.client.zCard(PROCESSES)) === 2;
    await until('both are listed', listed);
    // Who has not been here for long does not judge.
    await passed(1.2 * SILENCE_MS);
    await transaction(() => BlockingJob.performLater('blocking', 1.8 * SILENCE_MS));
    await until('it is done', async () => (await system.redis.client.hLen('bq:default:jobs')) === 0);
    const { client } = system.redis;
    assert.deepEqual([await client.zCard('bq:default:dead'), await client.zCard('bq:default:delayed')], [0, 0]);
    assert.ok([...one.said, ...other.said].length <= 3);
  });

  it('is left alone while several jobs do so one after the other', async () => {
    const { said } = startDoomed('blocked');
    const names = ['a', 'b', 'c', 'd', 'e'];
    await transaction(async () => {
      for (const name of names) await BlockingJob.performLater(name, 0.5 * SILENCE_MS);
    });
    await until('the first blocks', () => said.length > 0);
    const processor = await judge();
    processor.quiet();
    await until('all are done', async () => (await system.redis.client.hLen('bq:default:jobs')) === 0);
    assert.deepEqual([takenOver(), said.sort()], [[], names]);
  });

  it('is left alone when it merely lost Redis for less', async () => {
    const proxy = new SeverableProxy({ host: '127.0.0.1', port: system.redisServer.port });
    const port = await proxy.open();
    const { said } = startDoomed('cut-off', `redis://127.0.0.1:${port}`);
    await LongJob.performLater('held');
    await until('it holds it', () => said.length === 1);
    await judge();
    await passed(1.2 * SILENCE_MS);
    await proxy.sever();
    await passed(0.3 * SILENCE_MS);
    await proxy.open();
    await judgements();
    assert.deepEqual([takenOver(), said, ran], [[], ['held'], []]);
    await proxy.sever();
    await until('it is given up when it stays away', () => ran.length === 1);
  });

  for (const [outage, away, back] of [
    ['is frozen', () => system.redisServer.pause(), () => system.redisServer.resume()],
    ['is down', () => system.redisServer.kill(), () => system.redisServer.start()],
  ] as const) {
    it(`is left alone when Redis ${outage}, however long; one that died meanwhile is taken over`, async () => {
      const [living, dying] = [startDoomed('living'), startDoomed('dying')];
      const listed = async () => (await system.redis.client.zCard(PROCESSES)) === 2;
      await until('both are listed', listed);
      await transaction(async () => {
        for (const name of ['a', 'b', 'c', 'd']) await LongJob.performLater(name);
      });
      await until('both hold two each', () => living.said.length === 2 && dying.said.length === 2);
      await judge();
      await passed(1.2 * SILENCE_MS);
      await away();
      await kill(dying.child);
      await passed(1.5 * SILENCE_MS);
      await back();
      // By this judge, or by the living one.
      await until('the jobs of the dead one ran', () => ran.length === 2);
      await judgements();
      const identities = await system.redis.client.zRange(PROCESSES, 0, -1);
      assert.deepEqual([identities.includes('living'), identities.includes('dying')], [true, false]);
      assert.ok(takenOver().every(({ identity }) => identity === 'dying'));
      assert.deepEqual([living.said.length, ran.length], [2, 2], 'those of the living one run on');
    });
  }
});
