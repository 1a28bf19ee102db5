import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Job } from '../../lib/job/job';
import { DeadSet } from '../../lib/job/set/dead-set';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { LongJob, PoisonJob, startDoomedProcessor } from './doomed-processor';
import { JobSystem } from './job-system';
import { setSources } from './set/set-sources';

/** Processes are forked, which takes seconds where others work at the same time. */
const ran: string[] = [];

class RescuedJob extends Job<[name: string]> {
  static override jobName = 'LongJob';

  perform(name: string): void {
    ran.push(`${name} ${this.context.attempt}`);
  }
}

describe('a processor that is killed', () => {
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

  const startDoomed = (identity = 'doomed') => {
    const urls = { database: system.postgres.url, redis: system.redisServer.url };
    const child = startDoomedProcessor(urls, identity);
    children.push(child);
    return child;
  };

  it('loses neither of the two jobs it held, whether they came from the outbox or not', async () => {
    const child = startDoomed();
    const held: string[] = [];
    child.on('message', (name: string) => held.push(name));
    await transaction(() => LongJob.performLater('from the outbox'));
    await LongJob.performLater('straight');
    await until('it holds both', () => held.length === 2);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await system.processor([RescuedJob], { tuning: { stallInterval: 400 } });
    await until('both ran here', () => ran.length === 2);
    assert.deepEqual(ran.sort(), ['from the outbox 1', 'straight 1'], 'no attempt is burnt');
    assert.equal(system.eventsNamed('job.rescued').length, 2);
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
  });

  it('has its jobs taken over at once by a successor that knows of its death, still counted', async () => {
    const child = startDoomed('first');
    const neighbour = startDoomed('first-neighbour');
    const held: string[] = [];
    for (const doomed of [child, neighbour]) doomed.on('message', (name: string) => held.push(name));
    await transaction(async () => {
      for (const name of ['a', 'b', 'c', 'd']) await LongJob.performLater(name);
    });
    await until('both hold two each', () => held.length === 4);
    child.kill('SIGKILL');
    await once(child, 'exit');
    // So long that no stall check can be what brings them back.
    const options = { tuning: { stallInterval: 600_000 }, lineage: { identity: 'second', dead: ['first'] } };
    await system.processor([RescuedJob], options);
    await until('the two of the dead one ran here', () => ran.length === 2);
    const { client } = system.redis;
    assert.equal((await client.lRange('bq:default:active', 0, -1)).length, 2, 'those of the living one stay with it');
    assert.equal(system.eventsNamed('job.rescued').length, 2);
  });

  it('three times by one job has that job buried, while its neighbours run', async () => {
    await transaction(() => PoisonJob.performLater());
    for (let deaths = 0; deaths < 3; deaths++) await once(startDoomed(), 'exit');
    await transaction(() => LongJob.performLater('neighbour'));
    await system.processor([RescuedJob], { tuning: { stallInterval: 400 } });
    const { reason } = await until('it is dead', () => system.eventsNamed('job.dead')[0]);
    assert.equal(reason, 'the process died, or stalled, 3 times while it ran this job');
    await until('the neighbour ran', () => ran.length === 1);
    const [dead] = (await new DeadSet(setSources(system)).page()).entries;
    assert.deepEqual([dead?.class, dead?.reason], ['PoisonJob', reason]);
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
  });

  it('does not have its rescue mistaken: a job that runs long is not taken away', async () => {
    let ended = 0;
    class SlowJob extends Job {
      async perform(): Promise<void> {
        const start = performance.now();
        // Several stall intervals long, however slow the machine is.
        await until('four checks have passed', () => performance.now() - start > 1600);
        ended++;
      }
    }
    await system.processor([SlowJob], { tuning: { stallInterval: 400 } });
    await SlowJob.performLater();
    await until('it ended', () => system.eventsNamed('job.succeeded').length === 1);
    assert.equal(ended, 1);
    assert.equal(system.eventsNamed('job.rescued').length, 0);
  });
});
