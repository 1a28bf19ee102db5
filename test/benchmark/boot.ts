import type { Benchmark } from './benchmarks';
import { type Env, STARTS, type Start, startOther } from './boot/starts';
import { judged, middleHalf } from './frame/goal';
import { cpuMs } from './frame/process-tree';
import { interleave } from './frame/rounds';
import type { Served } from './frame/served';
import { median, spread } from './frame/statistics';
import { short, table } from './frame/table';

/** A start is short, and another program of the machine can double it. */
const STARTS_A_ROUND = 4;
const GOAL = { atMost: 1.3 };

interface Boot {
  readonly ms: number;
  /** Of all its processes until the first 200. */
  readonly cpuMs: number;
}

/** exec → first 200 of `/ready`, on a Postgres that is migrated and a Redis that is there. */
export const boot: Benchmark = {
  about: 'ms from exec to the first 200, external Postgres and Redis: against a bare Koa + knex + bee-queue process',
  peers: false,
  async run(bench) {
    const { against } = bench.options;
    const own = (Object.keys(STARTS) as Start[]).filter((name) => name === 'bare' || bench.wants(name));
    const names = against === undefined ? own : [...own, 'other' as const];
    const start = (name: Start | 'other', env: Env) =>
      name === 'other' ? startOther(against ?? '', env) : STARTS[name](env);
    const { env } = await bench.grounds();
    // The first start of all reads every file from the disk.
    await interleave(names, 1, (name) => once(() => start(name, env)));
    const boots = await interleave(names, bench.rounds * STARTS_A_ROUND, (name) => once(() => start(name, env)));
    const bare = boots.bare.map(({ ms }) => ms);
    const lines = names.map((name) => {
      const ms = boots[name].map((one) => one.ms);
      const ratios = ms.map((value, round) => value / (bare[round] ?? Number.NaN));
      const { median: middle, min, max } = spread(ms);
      const figures = [
        short(middle),
        `${short(min)}–${short(max)}`,
        short(median(boots[name].map((one) => one.cpuMs))),
      ];
      if (name === 'bare') return [name, ...figures];
      return [name, ...figures, judged(median(ratios), name === 'catamount' ? GOAL : {}), middleHalf(ratios)];
    });
    const head = [`${bare.length} starts each`, 'ms', 'least–most', 'CPU ms', '÷ bare', 'middle half'];
    bench.say(`\n${table(head, lines)}`);
    return { boots };
  },
};

async function once(start: () => Promise<Served>): Promise<Boot> {
  const server = await start();
  const boot = { ms: server.bootMs, cpuMs: cpuMs(server.pids) };
  await server.stop();
  return boot;
}
