import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Benchmark } from './benchmarks';
import type { Bench } from './frame/bench';
import { Child, runChild } from './frame/child';
import { judged } from './frame/goal';
import type { Grounds } from './frame/grounds';
import { type Memory, memoryOf } from './frame/process-tree';
import { Served } from './frame/served';
import { CODE, ROOT } from './frame/store';
import { table } from './frame/table';
import { Loader } from './load/loader';
import { memoryOver } from './memory/watch';

const SMTP = path.join(CODE, 'test/benchmark/mail/smtp-process.js');
const ENQUEUE = path.join(CODE, 'test/benchmark/memory/enqueue-process.js');
const JOBS = 100_000;
const MINUTES = 2;
const QUICK_MINUTES = 0.5;
/** After a start, and after work: what is left of it is collected, and connections of callers close. */
const REST_MS = 10_000;
const LOOK_MS = 5000;
const DONE_MS = 600_000;
/** Of each turn of the load: readers of the landing page, then people who sign up and are mailed. */
const TURN = { reads: 2000, signUps: 100, connections: 10 };
const RSS = { atMost: 330 };
const PSS = { atMost: 180 };

interface Look {
  readonly when: string;
  readonly memory: Memory;
}

/** The tree that `npm start` gives, with external Postgres and Redis; what those take is not counted. */
export const memory: Benchmark = {
  about: 'MiB of the default tree, all its processes: idle, after --minutes of load (default 2), after 100,000 jobs',
  peers: true,
  async run(bench) {
    const grounds = await bench.grounds();
    await grounds.clear();
    const smtp = new Child(SMTP, {}, { limitMs: 2 ** 31 - 1 });
    const loader = new Loader();
    try {
      const tree = await Served.start({
        args: [path.join(ROOT, 'dist/server.js')],
        env: { ...grounds.env, MAIL_DELIVERY: 'smtp', SMTP_URL: await smtp.next<string>() },
        readyPath: '/ready',
      });
      try {
        return await watch(bench, grounds, tree, loader);
      } finally {
        await tree.stop();
      }
    } finally {
      await loader.end();
      await smtp.kill();
    }
  },
};

async function watch(bench: Bench, grounds: Grounds, tree: Served, loader: Loader): Promise<object> {
  const minutes = bench.options.minutes ?? (bench.options.quick ? QUICK_MINUTES : MINUTES);
  const looks: Look[] = [];
  const look = async (when: string) => {
    await wait(REST_MS);
    looks.push({ when, memory: await memoryOver(tree, LOOK_MS) });
  };
  await look('idle');
  const underLoad = await load(tree, loader, minutes);
  looks.push({ when: 'under load, at most', memory: mostOf(underLoad) });
  await settled(grounds);
  await look(`after ${minutes} min of load`);
  const jobs = bench.options.quick ? JOBS / 10 : JOBS;
  for (const turn of ['', ' more']) {
    await runChild<number>(ENQUEUE, { stores: await grounds.stores(0), count: jobs });
    await settled(grounds);
    await look(`after ${jobs}${turn} jobs`);
  }
  const idle = looks[0]?.memory ?? { rssMb: Number.NaN, pssMb: Number.NaN };
  const lines = looks.map(({ when, memory: { rssMb, pssMb } }) => [
    when,
    judged(rssMb, RSS),
    judged(pssMb, PSS),
    (rssMb / idle.rssMb).toFixed(2),
    (pssMb / idle.pssMb).toFixed(2),
  ]);
  bench.say(`\n${table(['the tree', 'RSS MiB', 'PSS MiB', 'RSS ÷ idle', 'PSS ÷ idle'], lines)}`);
  const tenths = Array.from({ length: 11 }, (_, n) => underLoad[Math.round((n / 10) * (underLoad.length - 1))]);
  bench.say(`\nPSS MiB by tenths of the load: ${tenths.map((one) => one?.pssMb.toFixed(0)).join(' ')}`);
  return { minutes, jobs, looks, underLoad };
}

/** Of each figure the largest that was seen. */
function mostOf(taken: readonly Memory[]): Memory {
  return {
    rssMb: Math.max(...taken.map(({ rssMb }) => rssMb)),
    pssMb: Math.max(...taken.map(({ pssMb }) => pssMb)),
  };
}

/** @returns what it took after each turn. */
async function load(tree: Served, loader: Loader, minutes: number): Promise<Memory[]> {
  const taken: Memory[] = [];
  const end = performance.now() + minutes * 60_000;
  const { connections } = TURN;
  for (let turn = 0; performance.now() < end; turn++) {
    await loader.run({ url: `${tree.url}/`, method: 'GET', connections, amount: TURN.reads });
    const signUps = `turn${turn}`;
    await loader.run({ url: `${tree.url}/users`, method: 'POST', connections, amount: TURN.signUps, signUps });
    taken.push(memoryOf(tree.pids));
  }
  return taken;
}

/** Every job is done: those of the outbox, and those that are in Redis alone. */
async function settled({ client, database }: Grounds): Promise<void> {
  const end = performance.now() + DONE_MS;
  for (;;) {
    const [row] = await database.query<{ rows: number }>('select count(*)::int as rows from job_outbox');
    const lengths = await Promise.all(
      ['default', 'mailer'].flatMap((queue) => ['waiting', 'active'].map((list) => client.lLen(`bq:${queue}:${list}`))),
    );
    if (row?.rows === 0 && lengths.every((length) => length === 0)) return;
    if (performance.now() > end) throw new Error(`jobs were left: ${row?.rows} rows, lists of ${lengths.join(', ')}`);
    await wait(200);
  }
}
