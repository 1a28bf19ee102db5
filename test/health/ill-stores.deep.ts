import { ChaosPostgres } from '../chaos/scene/postgres';
import { buildFixtureApp } from '../support/fixture-app';
import { RedisCluster } from '../support/redis-cluster';
import { IllTree, type Injection } from './ill-tree';

const stalled = (words: RegExp): Pick<Injection, 'ready' | 'log' | 'codes'> => ({
  ready: new RegExp(`"jobs":"stalled".*${words.source}`),
  log: new RegExp(`stands still.*${words.source}`),
  codes: ['stalled'],
});

/** A row that waits in the outbox until long after the test. @param length of its payload. */
const filler = (length: number) => `insert into job_outbox (id, queue, class, payload, run_at)
  values (gen_random_uuid(), 'default', 'FillerJob', repeat('x', ${length}), '2100-01-01')`;

async function untilFull({ database }: IllTree, insert: string): Promise<void> {
  for (;;) {
    const error = await database.query(insert).then(
      () => undefined,
      (thrown: Error & { readonly code?: string }) => thrown,
    );
    if (error?.code === '53100') return;
    if (error) throw error;
  }
}

/** Two more causes, for which servers of a kind of their own are needed; the others are in standstills.deep.ts. */
describe('a standstill is told with its cause, and ends with it, where', () => {
  let ill: IllTree | undefined;
  afterEach(async () => {
    await ill?.remove();
    ill = undefined;
  });

  it('the name of Redis leads to a cluster by now, and the tree has no prefix', async () => {
    ill = await IllTree.make();
    const cluster = await RedisCluster.start(3);
    try {
      await ill.suffers({
        name: 'cluster',
        inject: async ({ ways, redis }) => {
          ways.redis.pointTo((await cluster.owner()).port);
          await ill?.signUp();
          return () => ways.redis.pointTo(redis.port);
        },
        ...stalled(/Redis is a cluster/),
        // Another node has the key of the readiness check, so that Redis counts as down.
        ready: /"reason":"[^"]*Redis is a cluster/,
      });
    } finally {
      await cluster.remove();
    }
  });

  it('the disk of Postgres is full', async () => {
    const entry = await buildFixtureApp('jobs-app');
    const postgres = await ChaosPostgres.make({ connections: 40, migrated: false, walApart: true });
    ill = await IllTree.make(entry, postgres);
    await ill.suffers({
      name: 'disk',
      inject: async (tree) => {
        // While somebody may still read them, the rows of jobs that have ended take up their space.
        const letGo = await tree.lock('set transaction isolation level repeatable read; select 1');
        postgres.disk.fill();
        for (const length of [1500, 1]) await untilFull(tree, filler(length));
        return async () => {
          postgres.disk.free();
          await letGo();
          await tree.database.query(`delete from job_outbox where class = 'FillerJob'`);
        };
      },
      ...stalled(/the disk of Postgres is full/),
    });
  });
});
