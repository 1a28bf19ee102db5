import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { request } from '../support/http';
import type { TestDatabase } from '../support/postgres';
import type { Bench, Benchmark } from './harness/bench';
import { type Goal, interleave, judged, median, pairedRatios, percentile, short, table } from './harness/figures';
import { type Loader, type LoadResult, type LoadTask, withLoader } from './harness/load';
import { cpuMs, type Env, MeasuredServer, memoryOf, startTree } from './harness/measured-server';
import { Child, NO_LIMIT } from './harness/processes';
import { PEERS } from './harness/product';
import { createDurableDatabase, type Stores } from './harness/stores';

const SMTP_SERVER = path.join(__dirname, 'harness/smtp-server.js');
const RAILS = path.join(PEERS, 'rails');
const USERS = `create table users (id bigserial primary key, email text not null unique, name text, token_digest text not null)`;
const CONNECTIONS = 32;
const SECONDS = 10;
const QUICK_SECONDS = 5;
const LOOK_EVERY_MS = 100;
/** By then the job processors of both have booted, ms after the first 200. */
const SETTLED_MS = 2000;
/** The mails of a storm are counted for so long, ms, or until all have been sent. */
const MAILS_MS = 15_000;

interface Figures {
  readonly bootMs: number;
  readonly pssMb: number;
  readonly health: number;
  readonly healthP99: number;
  /** Ours through the whole stack, with a template. The Rails API has no page: its `/health`. */
  readonly page: number;
  readonly pageP99: number;
  /** A row by its id, and a token. */
  readonly me: number;
  readonly meP99: number;
  /** In the first seconds after the boot, while V8 compiles what is hot: a quarter of a worker's CPU. */
  readonly coldSignUps: number;
  /** In the seconds after these. */
  readonly signUps: number;
  readonly signUpsP99: number;
  /** CPU time of all its processes during the storm, ms per sign-up, with the mails that were sent meanwhile. */
  readonly signUpCpu: number;
  /** A second, from the end of the storm on. */
  readonly mails: number;
  /** Requests that were not answered by 2xx, of all. */
  readonly failed: number;
}

const ROWS: Readonly<
  Record<Exclude<keyof Figures, 'failed'>, { readonly what: string; readonly goal: Goal; readonly isRate: boolean }>
> = {
  health: { what: '`/health`, req/s', goal: { atLeast: 8 }, isRate: true },
  healthP99: { what: 'p99, ms', goal: {}, isRate: false },
  page: { what: '`/`, req/s', goal: { atLeast: 6 }, isRate: true },
  pageP99: { what: 'p99, ms', goal: {}, isRate: false },
  me: { what: '`/users/me`, req/s', goal: {}, isRate: true },
  meP99: { what: 'p99, ms', goal: {}, isRate: false },
  coldSignUps: { what: 'sign-ups right after the boot, req/s', goal: {}, isRate: true },
  signUps: { what: 'sign-ups, req/s', goal: { atLeast: 4 }, isRate: true },
  signUpsP99: { what: 'p99, ms', goal: {}, isRate: false },
  signUpCpu: { what: 'CPU, ms each', goal: {}, isRate: false },
  mails: { what: 'mails/s after them', goal: { atLeast: 3 }, isRate: true },
  bootMs: { what: 'ms to the first 200 of `/health`', goal: { atLeast: 3 }, isRate: false },
  pssMb: { what: 'PSS right after, MiB', goal: {}, isRate: false },
};

interface Contender {
  /** The path of a page. */
  readonly page: string;
  start(env: Env): Promise<MeasuredServer>;
  /** Makes the tables of an empty database, unless they are there. */
  readonly isMigrated: boolean;
  /** The mails that have not been sent yet. */
  waiting(database: TestDatabase, stores: Stores): Promise<number>;
}

/** The sign-up and its mail, as the Rails stack serves it: boot, memory, requests and mails of both in turn. */
export const seed: Benchmark = {
  about:
    'the Rails stack beside ours, where Ruby with rails, puma, sidekiq and pg is installed; --beside another build',
  peers: true,
  async run(bench) {
    const stores = await bench.stores();
    const contenders = contendersOf(bench);
    const names = Object.keys(contenders);
    const rounds = await withLoader((loader) =>
      interleave(names, bench.rounds, (name) => measure(bench, stores, loader, contenders[name] as Contender, name)),
    );
    sayFigures(bench, rounds);
    return { rounds };
  },
};

function contendersOf(bench: Bench): Record<string, Contender> {
  const { beside } = bench.options;
  const isRailsThere =
    spawnSync('ruby', ['-e', 'require "rails"; require "puma"; require "sidekiq"; require "pg"']).status === 0;
  if (!isRailsThere) bench.say('Without Ruby and the gems rails, puma, sidekiq and pg: ours alone.');
  return {
    catamount: catamountAt(),
    ...(beside !== undefined && { [beside]: catamountAt(path.resolve(beside)) }),
    ...(isRailsThere && { rails: RAILS_STACK }),
  };
}

const catamountAt = (root?: string): Contender => ({
  page: '/',
  start: (env) => startTree(env, root, '/health'),
  isMigrated: true,
  async waiting(database) {
    const [row] = await database.query<{ count: number }>('select count(*)::int from job_queue');
    return row?.count ?? Number.NaN;
  },
});

const RAILS_STACK: Contender = {
  page: '/health',
  start: startRails,
  isMigrated: false,
  waiting: (_database, stores) => stores.client.lLen('queue:default'),
};

function startRails(env: Env): Promise<MeasuredServer> {
  const args = ['-C', path.join(RAILS, 'puma.rb'), path.join(RAILS, 'config.ru')];
  const variables = { RAILS_ENV: 'production', RACK_ENV: 'production' };
  return MeasuredServer.start({ command: 'puma', args, env: { ...env, ...variables } });
}

async function measure(
  bench: Bench,
  stores: Stores,
  loader: Loader,
  contender: Contender,
  name: string,
): Promise<Figures> {
  const smtp = new Child(SMTP_SERVER, {}, NO_LIMIT);
  const database = await createDurableDatabase(contender.isMigrated);
  try {
    if (!contender.isMigrated) await database.query(USERS);
    await stores.client.flushAll();
    const mail = { MAIL_DELIVERY: 'smtp', SMTP_URL: await smtp.next<string>() };
    const server = await contender.start({ ...stores.env, ...mail, DATABASE_URL: database.url });
    try {
      const waiting = () => contender.waiting(database, stores);
      const figures = await load({ bench, loader, server, page: contender.page, waiting });
      bench.say(
        `${name}: ${Object.entries(figures)
          .map(([figure, value]) => `${figure} ${short(value)}`)
          .join(', ')}`,
      );
      return figures;
    } finally {
      await server.stop();
    }
  } finally {
    await smtp.kill();
    await database.drop();
  }
}

interface Load {
  readonly bench: Bench;
  readonly loader: Loader;
  readonly server: MeasuredServer;
  readonly page: string;
  waiting(): Promise<number>;
}

async function load({ bench, loader, server, page, waiting }: Load): Promise<Figures> {
  const seconds = bench.options.quick ? QUICK_SECONDS : SECONDS;
  await wait(SETTLED_MS);
  const { pssMb } = memoryOf(server.pids);
  const results: LoadResult[] = [];
  const run = async (path: string, task: Partial<LoadTask>) => {
    const all = { connections: CONNECTIONS, seconds, method: 'GET', url: `${server.url}${path}` } as const;
    const result = await loader.run({ ...all, ...task });
    results.push(result);
    return result;
  };
  const get = async (path: string, task: Partial<LoadTask> = {}) => {
    // The first requests meet code that is not compiled yet.
    await run(path, { ...task, seconds: 1 });
    return await run(path, task);
  };
  const health = await get('/health');
  const whole = await get(page);
  const me = await get('/users/me', { token: await tokenOf(server.url) });
  const cold = await run('/users', { method: 'POST', signUps: 'early' });
  const cpuBefore = cpuMs(server.pids);
  const signUps = await run('/users', { method: 'POST', signUps: 'storm' });
  const signUpCpu = (cpuMs(server.pids) - cpuBefore) / signUps.answered;
  const failed = results.flatMap(({ wrong }) => Object.values(wrong)).reduce((sum, count) => sum + count, 0);
  const p99 = ({ latencies }: LoadResult) => percentile(latencies, 99);
  return {
    bootMs: server.bootMs,
    pssMb,
    health: health.requestsPerSecond,
    healthP99: p99(health),
    page: whole.requestsPerSecond,
    pageP99: p99(whole),
    me: me.requestsPerSecond,
    meP99: p99(me),
    coldSignUps: cold.requestsPerSecond,
    signUps: signUps.requestsPerSecond,
    signUpsP99: p99(signUps),
    signUpCpu,
    mails: await mailsPerSecond(waiting),
    failed,
  };
}

async function tokenOf(url: string): Promise<string> {
  const body = JSON.stringify({ email: 'me@example.com', name: 'Me' });
  const answer = await request(`${url}/users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  return (JSON.parse(answer.body) as { readonly accessToken: string }).accessToken;
}

/** The rate at which mails are sent from now on, until all are. */
async function mailsPerSecond(waiting: () => Promise<number>): Promise<number> {
  const before = await waiting();
  const begun = performance.now();
  for (;;) {
    await wait(LOOK_EVERY_MS);
    const left = await waiting();
    const ms = performance.now() - begun;
    if (left === 0 || ms > MAILS_MS) return ((before - left) / ms) * 1000;
  }
}

function sayFigures(bench: Bench, rounds: Readonly<Record<string, readonly Figures[]>>): void {
  const [ours = '', ...others] = Object.keys(rounds);
  const of = (name: string, figure: keyof Figures) => (rounds[name] ?? []).map((figures) => figures[figure]);
  const lines = (Object.keys(ROWS) as (keyof typeof ROWS)[]).map((figure) => {
    const { what, goal, isRate } = ROWS[figure];
    const ratio = (other: string) => {
      const [above, below] = isRate ? [ours, other] : [other, ours];
      return median(pairedRatios(of(above, figure), of(below, figure)));
    };
    const ratios = others.map((other) => judged(ratio(other), other === 'rails' ? goal : {}));
    return [what, ...[ours, ...others].map((name) => short(median(of(name, figure)))), ...ratios];
  });
  const head = [
    `${CONNECTIONS} connections`,
    ours,
    ...others,
    ...others.map((other) => `better than ${path.basename(other)} ×`),
  ];
  bench.say(`\n${table(head, lines)}`);
  for (const name of [ours, ...others]) {
    const failed = of(name, 'failed').reduce((sum, count) => sum + count, 0);
    if (failed > 0) bench.say(`${name}: ${failed} requests failed, such as by connections that it closed`);
  }
}
