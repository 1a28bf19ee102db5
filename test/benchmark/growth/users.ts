import path from 'node:path';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import type { Bench } from '../frame/bench';
import { type BurstsResult, burstsInTurn } from '../frame/bursts';
import { Served } from '../frame/served';
import { startAll, stopAll } from '../frame/servers';
import { ROOT } from '../frame/store';
import { Loader } from '../load/loader';
import { type Costs, levelName, levelsOf, tellLevels } from './levels';

const CONNECTIONS = 5;
const BURST = 200;

/** What a sign-up costs where there are so many users: each level has a database and a tree of its own, side by side. */
export async function users(bench: Bench): Promise<object> {
  if (!bench.wants('users')) return {};
  const { env } = await bench.grounds();
  const databases = new Map<string, TestDatabase>();
  const loader = new Loader();
  try {
    for (const amount of levelsOf(bench)) databases.set(levelName(amount), await peopled(amount));
    const names = [...databases.keys()];
    const costs: Record<string, Costs[]> = Object.fromEntries(names.map((name) => [name, []]));
    let burst = 0;
    for (let round = 0; round < bench.rounds; round++) {
      const trees = await startAll(names, (name) =>
        Served.start({
          args: [path.join(ROOT, 'dist/server.js')],
          // Nothing is performed: what jobs cost is measured elsewhere.
          env: { ...env, DATABASE_URL: databases.get(name)?.url ?? '', WEB_CONCURRENCY: '1', JOB_PROCESSOR: '0' },
          readyPath: '/ready',
        }),
      );
      try {
        const results = await burstsInTurn(loader, trees, {
          bursts: bench.options.quick ? 6 : 12,
          warmUp: 3,
          amount: BURST,
          task: () => ({ path: '/users', method: 'POST', connections: CONNECTIONS, signUps: `new${round}-${++burst}` }),
        });
        for (const name of names) costs[name]?.push(costOf(results[name]));
      } finally {
        await stopAll(trees);
      }
    }
    tellLevels(bench, 'users', costs);
    return { users: costs };
  } finally {
    await loader.end();
    for (const database of databases.values()) await database.drop();
  }
}

function costOf(result: BurstsResult | undefined): Costs {
  const { requestsPerSecond = Number.NaN, cpuUs = Number.NaN, p50Ms = Number.NaN, p99Ms = Number.NaN } = result ?? {};
  return { 'sign-up µs': 1e6 / requestsPerSecond, 'tree CPU': cpuUs, 'p50 ms': p50Ms, 'p99 ms': p99Ms };
}

async function peopled(amount: number): Promise<TestDatabase> {
  const database = await createDatabase({ migrated: true });
  await database.query(`alter database ${new URL(database.url).pathname.slice(1)} set synchronous_commit = on`);
  await database.query(
    `insert into users (email, name, locale, token_digest)
     select 'user' || n || '@example.com', 'User ' || n, 'en', sha256(n::text::bytea) from generate_series(1, $1::int) n`,
    [amount],
  );
  await database.query('vacuum analyze users');
  return database;
}
