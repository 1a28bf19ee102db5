import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Bench, Benchmark } from './harness/bench';
import { judged, median, table } from './harness/figures';
import { type Loader, withLoader } from './harness/load';
import { type MeasuredServer, type Memory, memoryOf, startTree } from './harness/measured-server';
import { Child, NO_LIMIT } from './harness/processes';
import type { Stores } from './harness/stores';
import { enqueueWelcomes, jobsDone } from './harness/welcomes';

const SMTP_SERVER = path.join(__dirname, 'harness/smtp-server.js');
const JOBS = 100_000;
const MINUTES = 2;
const QUICK_MINUTES = 0.5;
/** Pause after a start and after work, ms, in which garbage is collected and connections of clients close. */
const REST_MS = 10_000;
const LOOK_MS = 5000;
const LOOK_EVERY_MS = 500;
/** One turn of the load: reads of the landing page, then sign-ups with their mails. */
const TURN = { reads: 2000, signUps: 100, connections: 10 };
const RSS = { atMost: 330 };
const PSS = { atMost: 180 };

/** The memory of the tree of `npm start` with external Postgres and Redis, which are not counted. */
export const memory: Benchmark = {
  about: 'MiB of the default tree, all its processes: idle, after --minutes of load (default 2), after 100,000 jobs',
  peers: true,
  async run(bench) {
    const stores = await bench.stores();
    await stores.clear();
    const smtp = new Child(SMTP_SERVER, {}, NO_LIMIT);
    try {
      const mail = { MAIL_DELIVERY: 'smtp', SMTP_URL: await smtp.next<string>() };
      return await withLoader(async (loader) => {
        const tree = await startTree({ ...stores.env, ...mail });
        try {
          return await measure(bench, stores, tree, loader);
        } finally {
          await tree.stop();
        }
      });
    } finally {
      await smtp.kill();
    }
  },
};

async function measure(bench: Bench, stores: Stores, tree: MeasuredServer, loader: Loader): Promise<object> {
  const minutes = bench.options.minutes ?? (bench.options.quick ? QUICK_MINUTES : MINUTES);
  const looks: { readonly when: string; readonly memory: Memory }[] = [];
  const look = async (when: string) => {
    await wait(REST_MS);
    looks.push({ when, memory: await memoryOver(tree, LOOK_MS) });
  };
  await look('idle');
  const underLoad = await load(tree, loader, minutes);
  looks.push({ when: 'under load, at most', memory: summedUp(underLoad, (values) => Math.max(...values)) });
  await jobsDone(stores);
  await look(`after ${minutes} min of load`);
  const jobs = bench.options.quick ? JOBS / 10 : JOBS;
  for (const turn of ['', ' more']) {
    await enqueueWelcomes(stores, jobs);
    await jobsDone(stores);
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

/** Loads the tree for a time, in turns. @returns its memory after each turn. */
async function load(tree: MeasuredServer, loader: Loader, minutes: number): Promise<Memory[]> {
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

/** The median over `ms`, since a single sample may fall into a garbage collection. */
async function memoryOver(tree: MeasuredServer, ms: number): Promise<Memory> {
  const looks: Memory[] = [];
  const end = performance.now() + ms;
  do {
    looks.push(memoryOf(tree.pids));
    await wait(LOOK_EVERY_MS);
  } while (performance.now() < end);
  return summedUp(looks, median);
}

function summedUp(looks: readonly Memory[], sum: (values: readonly number[]) => number): Memory {
  return { rssMb: sum(looks.map(({ rssMb }) => rssMb)), pssMb: sum(looks.map(({ pssMb }) => pssMb)) };
}
