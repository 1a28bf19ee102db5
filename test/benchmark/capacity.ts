import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ENTRIES } from '../../lib/cli/app/app-entry';
import { autoConcurrency } from '../../lib/core/memory-plan';
import { readSettings } from '../../lib/core/settings';
import { request } from '../support/http';
import type { Bench, Benchmark } from './harness/bench';
import { keepOurselvesOn, ownCores } from './harness/cores';
import { percentile, short, table } from './harness/figures';
import { type Loader, type LoadTask, withLoader } from './harness/load';
import { ENTRY, type Env, MeasuredServer, memoryOf } from './harness/measured-server';
import { Child, NO_LIMIT } from './harness/processes';
import { ROOT } from './harness/product';
import type { Stores } from './harness/stores';
import { jobsDone } from './harness/welcomes';
import { memoryOver } from './memory';

const SMTP_SERVER = path.join(__dirname, 'harness/smtp-server.js');
/** Memory of one dyno of Heroku's Basic or Standard-1X, of a Standard-2X, and of a Performance-M, MB. */
const MEMORY_MB = [512, 1024, 2560];
/** Numbers of cores for which the number of workers is computed. */
const SIZED_CORES = [1, 2, 4, 8];
/** Acceptable latency, ms: the load grows until more than one request in twenty takes longer. */
const MAX_P95_MS = 100;
const CALLERS = { from: 2, to: 256 };
const STEP_SECONDS = 1.2;
/** Requests that are not measured. Their rate decides how many the first step has. */
const WARM_UP = 100;
/** Plans that have not begun by then are skipped: the machine is too busy for a measurement. */
const MAX_MS = 300_000;
/** With fewer mails left, their duration says nothing about their rate. */
const LEAST_MAILS = 50;
/** Time to rest, ms: a process that has been idle for 5 s collects its garbage. */
const REST_MS = 7000;
const LOOK_MS = 1500;
const SAMPLE_EVERY_MS = 500;

type Send = (load: Pick<LoadTask, 'connections' | 'amount'>) => ReturnType<Loader['run']>;

/** The highest rate with a p95 within the bound. */
interface Climb {
  readonly requestsPerSecond: number;
  /** Clients that have a request in flight all the time. */
  readonly connections: number;
}

interface Row {
  readonly memoryMb: number;
  readonly cores: number;
  readonly workers: number;
  readonly maxThreads: number;
  readonly restPssMb: number;
  readonly loadPssMb: number;
  readonly reads: Climb;
  readonly writes: Climb;
  /** Rate of the jobs that the writes have enqueued: each sends a mail. undefined if there were too few. */
  readonly mailsPerSecond: number | undefined;
}

/** The load that a tree which sizes itself (WEB_CONCURRENCY=auto) can serve within a memory limit and on some cores. */
export const capacity: Benchmark = {
  about:
    'load that a tree serves within a memory limit and on some cores, sized by itself; --app measures an app of your own',
  peers: true,
  async run(bench) {
    bench.say(`load averages at the start: ${loads()}`);
    const own = ownCores();
    const end = performance.now() + MAX_MS;
    const stores = await bench.stores();
    const smtp = new Child(SMTP_SERVER, {}, NO_LIMIT);
    const rows: Row[] = [];
    try {
      const mail = { MAIL_DELIVERY: 'smtp', SMTP_URL: await smtp.next<string>() };
      // An app may limit the writes of one client, so each request pretends to come from another one.
      const trust = bench.options.app ? { TRUST_PROXY: '1' } : {};
      const env = { ...stores.env, ...mail, ...trust, WEB_CONCURRENCY: 'auto' };
      if (bench.options.app) await migrate(entryOfApp(bench), env);
      await withLoader(async (loader) => {
        for (const memoryMb of MEMORY_MB.filter((mb) => bench.wants(`${mb}`))) {
          for (const cores of new Set([1, own.length])) {
            if (performance.now() > end) continue;
            keepOurselvesOn(cores < own.length ? own.slice(cores) : own);
            const settings = { ...env, MEMORY_LIMIT_MB: String(memoryMb) };
            const row = await measure(bench, { stores, loader, env: settings, cores: own.slice(0, cores), memoryMb });
            rows.push(row);
            bench.say(`${cellsOf(row).join(', ')}`);
          }
        }
      });
    } finally {
      keepOurselvesOn(own);
      await smtp.kill();
    }
    bench.say(`\n${table(HEAD, rows.map(cellsOf))}`);
    bench.say(
      `rates and callers with p95 ≤ ${MAX_P95_MS} ms; ${own.length} cores, load averages ${loads()} at the end`,
    );
    const sizes = MEMORY_MB.map((mb) => [
      `${mb}`,
      ...SIZED_CORES.map((cores) => `${autoConcurrency(mb, cores).workers}`),
    ]);
    bench.say(`\n${table(['workers by MB and cores', ...SIZED_CORES.map(String)], sizes)}`);
    return { maxP95Ms: MAX_P95_MS, rows };
  },
};

const loads = () =>
  os
    .loadavg()
    .map((one) => one.toFixed(1))
    .join(', ');

const HEAD = [
  'MB, cores',
  'workers × threads',
  'PSS at rest',
  'loaded',
  'reads/s (callers)',
  'writes/s (callers)',
  'mails/s',
];

function cellsOf(row: Row): string[] {
  const rate = (value: number | undefined) => (value === undefined ? '–' : short(value));
  const climb = ({ requestsPerSecond, connections }: Climb) => `${short(requestsPerSecond)} (${connections})`;
  return [
    `${row.memoryMb}, ${row.cores}`,
    `${row.workers} × ${row.maxThreads}`,
    row.restPssMb.toFixed(0),
    row.loadPssMb.toFixed(0),
    climb(row.reads),
    climb(row.writes),
    rate(row.mailsPerSecond),
  ];
}

interface Cell {
  readonly stores: Stores;
  readonly loader: Loader;
  readonly env: Env;
  readonly cores: readonly number[];
  readonly memoryMb: number;
}

async function measure(bench: Bench, { stores, loader, env, cores, memoryMb }: Cell): Promise<Row> {
  const { app } = bench.options;
  const name = `m${memoryMb}c${cores.length}`;
  // The product's own reading of the environment that the tree is given.
  const machine = { memoryLimitMb: null, cores: cores.length };
  const config = readSettings({ env: { NODE_ENV: 'production', ...env }, cwd: ROOT, machine });
  const tree = await MeasuredServer.start({ args: [entryOfApp(bench)], env, cores, readyPath: '/ready' });
  const peakMb = watchMemory(tree);
  try {
    await wait(REST_MS);
    const rest = await memoryOver(tree, LOOK_MS);
    const read = app ? { path: app.read } : { path: '/users/me', headers: await someonesToken(tree.url, name) };
    let step = 0;
    const reads = await climb((load) => loader.run({ ...load, method: 'GET', ...read, url: tree.url + read.path }));
    const writes = await climb((load) =>
      loader.run({
        ...load,
        method: 'POST',
        url: tree.url + (app?.write ?? '/users'),
        signUps: `${name}-${step++}`,
        byMany: app !== undefined,
      }),
    );
    const mails = await rateOfJobs(stores);
    return {
      memoryMb,
      cores: cores.length,
      workers: config.web.concurrency,
      maxThreads: config.web.maxThreads,
      restPssMb: rest.pssMb,
      loadPssMb: peakMb(),
      reads,
      writes,
      mailsPerSecond: mails.done < LEAST_MAILS ? undefined : mails.perSecond,
    };
  } finally {
    peakMb();
    await tree.stop();
  }
}

/** Doubles the clients until p95 exceeds the bound. @returns the best step within it; NaN if there is none. */
async function climb(send: Send): Promise<Climb> {
  let rate = (await send({ connections: CALLERS.from, amount: WARM_UP })).requestsPerSecond;
  let best: Climb = { requestsPerSecond: Number.NaN, connections: 0 };
  for (let connections = CALLERS.from; connections <= CALLERS.to; connections *= 2) {
    const amount = Math.max(2 * connections, Math.round(rate * STEP_SECONDS));
    const { requestsPerSecond, latencies } = await send({ connections, amount });
    rate = requestsPerSecond;
    if (percentile(latencies, 95) > MAX_P95_MS) break;
    if (!(requestsPerSecond < best.requestsPerSecond)) best = { requestsPerSecond, connections };
  }
  return best;
}

/** Waits for the jobs that are left. @returns their number and rate. */
async function rateOfJobs(stores: Stores): Promise<{ readonly done: number; readonly perSecond: number }> {
  const begun = performance.now();
  const done = await jobsDone(stores, 20);
  return { done, perSecond: (done / (performance.now() - begun)) * 1000 };
}

/** Signs a user up. @returns the headers that authenticate them. */
async function someonesToken(url: string, name: string): Promise<Record<string, string>> {
  const answer = await request(`${url}/users`, {
    method: 'POST',
    json: { email: `${name}@example.com`, name: 'Reader' },
  });
  const { accessToken } = answer.json() as { accessToken: string };
  return { authorization: `Bearer ${accessToken}` };
}

/** Samples the memory of a tree. @returns a function that stops sampling and returns the peak, MiB. */
function watchMemory(tree: MeasuredServer): () => number {
  let pssMb = 0;
  const sample = () => {
    pssMb = Math.max(pssMb, memoryOf(tree.pids).pssMb);
  };
  const timer = setInterval(sample, SAMPLE_EVERY_MS);
  return () => {
    clearInterval(timer);
    return pssMb;
  };
}

/** @throws Error when the app's folder has no entry file. */
function entryOfApp({ options: { app } }: Bench): string {
  if (!app) return ENTRY;
  const entry = ENTRIES.map((file) => path.join(app.folder, file)).find((file) => fs.existsSync(file));
  if (entry === undefined) throw new Error(`${app.folder} has none of ${ENTRIES.join(', ')}: build the app first`);
  return entry;
}

async function migrate(entry: string, env: Env): Promise<void> {
  const { PATH, HOME } = process.env;
  await promisify(execFile)(process.execPath, [entry, 'migrate'], {
    cwd: path.dirname(entry),
    env: { PATH, HOME, NODE_ENV: 'production', ...env },
  });
}
