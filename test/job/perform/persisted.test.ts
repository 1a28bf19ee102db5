import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { KillJob, Snooze } from '../../../lib/job/definition/errors';
import { compileOptions } from '../../../lib/job/definition/options';
import { Job } from '../../../lib/job/job';
import { keyringOf } from '../../../lib/job/record/encryption';
import { rescue } from '../../../lib/job/row/rescue';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { isMoved, setSources, setsOf } from '../sets/set-sources';

const gate = new Gate();
/** What each run has found. */
const found: unknown[] = [];

type End = 'fails' | 'snoozes' | 'dies' | 'returns' | 'is stopped' | 'crashes';

/** Counts its runs, each of which ends in the given way. */
class CountingJob extends Job<[...ends: End[]]> {
  static override readonly persisted = ['runs', 'seen', 'token', 'unset'];
  runs = 0;
  seen: readonly unknown[] = [];
  token: string | undefined;
  unset?: string;
  other = 'as declared';

  async perform(...ends: End[]): Promise<void> {
    found.push([this.runs, this.seen, this.token, this.other]);
    const end = ends[this.runs++];
    this.seen = [...this.seen, new Date(this.runs), BigInt(this.runs)];
    this.token = `a secret of run ${this.runs}`;
    this.other = 'changed';
    if (end === 'crashes') await this.checkpoint(1);
    if (end === 'crashes' || end === 'is stopped') await gate.pass(this.context.signal);
    if (end === 'fails') throw new Error('as asked');
    if (end === 'snoozes') throw new Snooze(0);
    if (end === 'dies') throw new KillJob('as asked');
  }

  override afterDiscard(): void {
    found.push(`${this.token} is left`);
  }
}

class SecretJob extends CountingJob {
  static override readonly encrypt = true;
}

/** Persists what cannot travel. */
class WrongJob extends Job {
  static override readonly persisted = ['map'];
  map: Map<string, string> | undefined;

  perform(): void {
    found.push(this.map);
    this.map = new Map();
    if (this.context.attempt === 1) throw new Error('as asked');
  }
}

describe('persisted fields', () => {
  const encryptionKeys = [{ id: 'a', key: randomBytes(32).toString('base64') }];
  const system = useJobSystem({ gate, empty: [found], dependencies: { keys: keyringOf(encryptionKeys) } });
  beforeEach(() => system.skipWaits());

  const start = (lineage?: { readonly identity: string; readonly dead: readonly string[] }) =>
    system.processor([CountingJob, SecretJob, WrongJob], { jobs: { encryptionKeys }, ...(lineage && { lineage }) });
  const ended = () => until('the job has ended', async () => (await system.jobCount()) === 0);
  const run = (n: number) => [
    n,
    Array.from({ length: n }, (_, i) => [new Date(i + 1), BigInt(i + 1)]).flat(),
    n === 0 ? undefined : `a secret of run ${n}`,
    'as declared',
  ];

  it('are found again after a failure, a snooze and a death, with their types', async () => {
    await start();
    const { id } = await CountingJob.performLater('fails', 'snoozes', 'dies', 'returns');
    await until('it is dead', async () => (await system.deadIds())[0] === id);
    assert.deepEqual(found, [run(0), run(1), run(2), 'a secret of run 3 is left']);
    const sets = setsOf(setSources(system));
    assert.deepEqual((await sets.find(id)).steps, [], 'they are no step');
    await isMoved(sets.dead.move('retry', { ids: [id] }));
    await ended();
    assert.deepEqual(found.at(-1), run(3));
  });

  it('are found again after a stop', async () => {
    await start();
    await CountingJob.performLater('is stopped', 'returns');
    await until('it runs', () => gate.held === 1);
    await system.stopProcessors();
    await start();
    await ended();
    assert.deepEqual(found, [run(0), run(1)]);
  });

  it('are found as they were at the last checkpoint after a crash', async () => {
    await start({ identity: 'frozen', dead: [] });
    await CountingJob.performLater('crashes', 'returns');
    await until('it is stored', async () => {
      const [row] = await system.postgres.query<{ cursor: unknown }>('select cursor from job_queue');
      return gate.held === 1 && row?.cursor != null;
    });
    assert.equal((await rescue(system.database.knex, { identity: 'frozen' })).length, 1);
    await system.postgres.query("select pg_notify('job_queue', 'look')");
    await ended();
    assert.deepEqual(found, [run(0), run(1)]);
  });

  it('are encrypted if the class is', async () => {
    for (const jobClass of [SecretJob, CountingJob]) {
      await start();
      found.length = 0;
      await jobClass.performLater('is stopped', 'fails', 'returns');
      await until('it runs', () => gate.held === 1);
      await system.stopProcessors();
      const [row] = await system.postgres.query('select steps from job_queue');
      assert.equal(/a secret/.test(JSON.stringify(row)), jobClass === CountingJob);
      await start();
      await ended();
      assert.deepEqual(found, [run(0), run(1), run(2)]);
    }
  });

  it('that cannot travel are reported, and cost the job nothing', async () => {
    await start();
    await WrongJob.performLater();
    await ended();
    assert.deepEqual(found, [undefined, undefined]);
    assert.match(system.eventsNamed('queue.error')[0]?.error.message ?? '', /what WrongJob has persisted .*map.* Map/);
  });

  it('are fields', () => {
    const persisting = (persisted: unknown) =>
      class Persisting extends CountingJob {
        static override readonly persisted = persisted as string[];
      };
    for (const wrong of ['runs', [], [''], [7], ['perform'], ['context'], ['__proto__']])
      assert.throws(() => compileOptions(persisting(wrong)), {
        name: 'TypeError',
        message: `Persisting: persisted is ${JSON.stringify(wrong)}; name fields of the class, such as ['seen']`,
      });
  });
});
