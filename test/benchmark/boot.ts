import path from 'node:path';
import { request } from '../support/http';
import { until } from '../support/until';
import type { Benchmark } from './harness/bench';
import { interleave, judged, median, middleHalf, pairedRatios, short, spread, table } from './harness/figures';
import { cpuMs, type Env, MeasuredServer, startTree } from './harness/measured-server';

const BARE = path.join(__dirname, 'boot-bare.js');
/** Several starts per round, since a start is short and any other load of the machine can double its time. */
const STARTS_A_ROUND = 4;
const GOAL = { atMost: 3 };
/** Jobs run this long after the first response of the web, ms. */
const JOBS_GOAL = { atMost: 1000 };

const startBare = (env: Env, ...args: string[]) =>
  MeasuredServer.start({ args: [BARE, ...args], env, readyPath: '/ready' });

/** The web of a tree counts as up with the first 200 of `/health`; a bare server once it has reached Postgres and Redis. */
const STARTS = {
  /** A primary, two workers, a job processor. */
  catamount: (env) => startTree(env, undefined, '/health'),
  bare: (env) => startBare(env),
  'bare, node:cluster': (env) => startBare(env, '2'),
} as const satisfies Readonly<Record<string, (env: Env) => Promise<MeasuredServer>>>;

type Start = keyof typeof STARTS;

interface Boot {
  readonly ms: number;
  /** CPU time of all its processes until the first 200, ms. */
  readonly cpuMs: number;
  /** Time from then until jobs run, too, by `/ready`, ms. */
  readonly jobsMs: number;
}

/** Time from exec to the first 200, with a migrated Postgres and a Redis that already run. */
export const boot: Benchmark = {
  about: 'ms from exec to the first 200, external Postgres and Redis: against a bare Koa + knex + bee-queue process',
  peers: false,
  async run(bench) {
    const { env } = await bench.stores();
    const names = (Object.keys(STARTS) as Start[]).filter((name) => name === 'bare' || bench.wants(name));
    const measure = async (name: Start): Promise<Boot> => {
      const server = await STARTS[name](env);
      const [begun, cpu] = [performance.now(), cpuMs(server.pids)];
      await until('jobs run', async () => (await request(`${server.url}/ready`)).status === 200);
      const jobsMs = performance.now() - begun;
      await server.stop();
      return { ms: server.bootMs, cpuMs: cpu, jobsMs };
    };
    // The first start of each is not counted, since it reads all files from the disk.
    await interleave(names, 1, measure);
    const boots = await interleave(names, bench.rounds * STARTS_A_ROUND, measure);
    const msOf = (name: Start) => boots[name].map(({ ms }) => ms);
    const lines = names.map((name) => {
      const { median: middle, min, max } = spread(msOf(name));
      const cpu = median(boots[name].map((one) => one.cpuMs));
      const figures = [short(middle), `${short(min)}–${short(max)}`, short(cpu)];
      if (name === 'bare') return [name, ...figures];
      const ratios = pairedRatios(msOf(name), msOf('bare'));
      return [name, ...figures, judged(median(ratios), name === 'catamount' ? GOAL : {}), middleHalf(ratios)];
    });
    const jobsMs = median(boots.catamount.map((boot) => boot.jobsMs));
    const head = [`${msOf('bare').length} starts each`, 'ms', 'least–most', 'CPU ms', '÷ bare', 'middle half'];
    bench.say(`\n${table(head, lines)}`);
    bench.say(`jobs run ${judged(jobsMs, JOBS_GOAL)} ms after the first response`);
    return { boots };
  },
};
