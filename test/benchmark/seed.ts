import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Bench, Benchmark } from './harness/bench';
import { type Goal, interleave, judged, median, pairedRatios, percentile, short, table } from './harness/figures';
import { type Loader, withLoader } from './harness/load';
import { cpuMs, type Env, MeasuredServer, memoryOf, startTree } from './harness/measured-server';
import { Child, NO_LIMIT } from './harness/processes';
import { PEERS } from './harness/product';
import { createDurableDatabase, type Stores } from './harness/stores';

const SMTP_SERVER = path.join(__dirname, 'harness/smtp-server.js');
const RAILS = path.join(PEERS, 'rails');
const USERS = `create table users (id bigserial primary key, email text not null unique, name text, token_digest text not null)`;
const CONNECTIONS = 32;
const SECONDS = 10;
const QUICK_SECONDS = 4;
const LOOK_EVERY_MS = 100;
/** The mails of a storm are counted for so long, ms, or until all have arrived. */
const MAILS_MS = 60_000;

interface Figures {
  readonly bootMs: number;
  readonly pssMb: number;
  readonly health: number;
  readonly healthP99: number;
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
  signUps: { what: 'sign-ups, req/s', goal: { atLeast: 4 }, isRate: true },
  signUpsP99: { what: 'p99, ms', goal: {}, isRate: false },
  signUpCpu: { what: 'CPU, ms each', goal: {}, isRate: false },
  mails: { what: 'mails/s after them', goal: { atLeast: 3 }, isRate: true },
  bootMs: { what: 'ms to the first 200', goal: { atLeast: 3 }, isRate: false },
  pssMb: { what: 'PSS right after, MiB', goal: {}, isRate: false },
};

interface Contender {
  start(env: Env): Promise<MeasuredServer>;
  /** Makes the tables of an empty database, unless they are there. */
  readonly isMigrated: boolean;
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
    catamount: { start: (env) => startTree(env), isMigrated: true },
    ...(beside !== undefined && {
      [beside]: { start: (env) => startTree(env, path.resolve(beside)), isMigrated: true },
    }),
    ...(isRailsThere && { rails: { start: startRails, isMigrated: false } }),
  };
}

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
      const figures = await load(bench, loader, server, smtp);
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

async function load(bench: Bench, loader: Loader, server: MeasuredServer, smtp: Child): Promise<Figures> {
  const seconds = bench.options.quick ? QUICK_SECONDS : SECONDS;
  const { pssMb } = memoryOf(server.pids);
  const common = { connections: CONNECTIONS, seconds };
  // The first requests meet code that is not compiled yet.
  await loader.run({ ...common, url: `${server.url}/health`, method: 'GET', seconds: 1 });
  const health = await loader.run({ ...common, url: `${server.url}/health`, method: 'GET' });
  await loader.run({ ...common, url: `${server.url}/users`, method: 'POST', seconds: 1, signUps: 'early' });
  const cpuBefore = cpuMs(server.pids);
  const signUps = await loader.run({ ...common, url: `${server.url}/users`, method: 'POST', signUps: 'storm' });
  const signUpCpu = (cpuMs(server.pids) - cpuBefore) / signUps.answered;
  const failed = [health, signUps].flatMap(({ wrong }) => Object.values(wrong)).reduce((sum, count) => sum + count, 0);
  return {
    bootMs: server.bootMs,
    pssMb,
    health: health.requestsPerSecond,
    healthP99: percentile(health.latencies, 99),
    signUps: signUps.requestsPerSecond,
    signUpsP99: percentile(signUps.latencies, 99),
    signUpCpu,
    mails: await mailsPerSecond(smtp),
    failed,
  };
}

/** Counts mails from now on until none has come for a second. */
async function mailsPerSecond(smtp: Child): Promise<number> {
  const take = async () => {
    smtp.send('count');
    return smtp.next<number>();
  };
  await take();
  const begun = performance.now();
  let [count, lastAt] = [0, begun];
  while (performance.now() - lastAt < 1000 && performance.now() - begun < MAILS_MS) {
    await wait(LOOK_EVERY_MS);
    const more = await take();
    if (more > 0) lastAt = performance.now();
    count += more;
  }
  return (count / (lastAt - begun)) * 1000;
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
