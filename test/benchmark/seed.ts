import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { request } from '../support/http';
import type { Bench, Benchmark } from './harness/bench';
import {
  type Goal,
  interleave,
  judged,
  median,
  middleHalf,
  pairedRatios,
  percentile,
  short,
  table,
} from './harness/figures';
import { type Loader, withLoader } from './harness/load';
import { type Env, MeasuredServer, memoryOf, startTree } from './harness/measured-server';
import { Child, NO_LIMIT } from './harness/processes';
import { PEERS, person } from './harness/product';
import type { Stores } from './harness/stores';

const SMTP_SERVER = path.join(__dirname, 'harness/smtp-server.js');
/** Puma with two workers of five threads, and Sidekiq with two: what this replaces. */
const RAILS = path.join(PEERS, 'rails/stack.rb');
const CONNECTIONS = 32;
/** Time after the first 200, ms, after which a server that has just started is weighed. */
const SETTLED_MS = 2000;
const LOOK_MS = 50;
const ALL_MAILED_MS = 300_000;

type Contender = 'catamount' | 'before' | 'rails';

interface Figure {
  readonly name: string;
  /** of Rails' figure. */
  readonly goal: Goal;
  /** true: less is better, so the ratio is theirs ÷ ours. */
  readonly less?: true;
}

const FIGURES = {
  health: { name: 'GET /health, a second', goal: { atLeast: 8 } },
  home: { name: 'GET /, a second', goal: { atLeast: 6 } },
  me: { name: 'GET /users/me, a second', goal: {} },
  signUp: { name: 'sign-ups a second', goal: { atLeast: 4 } },
  signUpP99: { name: 'their p99, ms', goal: { atLeast: 1 }, less: true },
  mails: { name: 'mails a second, after them', goal: { atLeast: 3 } },
  boot: { name: 'ms to the first 200', goal: { atLeast: 3 }, less: true },
  pss: { name: 'Σ PSS after the start, MiB', goal: { atLeast: 1 }, less: true },
} as const satisfies Readonly<Record<string, Figure>>;

type Figures = Readonly<Record<keyof typeof FIGURES, number>>;

/** The sample app beside the same app on Rails: what somebody feels who comes from there. */
export const seed: Benchmark = {
  about: 'the sample app beside Rails with Puma and Sidekiq, where Ruby has them, and beside the build in --beside',
  peers: true,
  async run(bench) {
    const stores = await bench.stores();
    const smtp = new Child(SMTP_SERVER, {}, NO_LIMIT);
    try {
      const smtpUrl = await smtp.next<string>();
      const contenders = contendersOf(bench);
      const rounds = await withLoader((loader) =>
        interleave(contenders, bench.rounds, (contender) =>
          measure(bench, { contender, stores, smtp, smtpUrl, loader }),
        ),
      );
      bench.say(`\n${compare(rounds, contenders)}`);
      return { rounds };
    } finally {
      await smtp.kill();
    }
  },
};

function contendersOf(bench: Bench): readonly Contender[] {
  const gems = ['rails', 'puma', 'sidekiq', 'pg'].flatMap((gem) => ['-r', gem]);
  const hasRails = spawnSync('ruby', [...gems, '-e', 'exit']).status === 0;
  if (!hasRails) bench.say('without Rails: there is no Ruby with the gems rails, puma, sidekiq and pg');
  return [
    'catamount',
    ...(bench.options.beside ? (['before'] as const) : []),
    ...(hasRails ? (['rails'] as const) : []),
  ];
}

interface Setting {
  readonly contender: Contender;
  readonly stores: Stores;
  readonly smtp: Child;
  readonly smtpUrl: string;
  readonly loader: Loader;
}

async function measure(bench: Bench, { contender, stores, smtp, smtpUrl, loader }: Setting): Promise<Figures> {
  await stores.clear();
  const server = await start(bench, contender, { ...stores.env, MAIL_DELIVERY: 'smtp', SMTP_URL: smtpUrl });
  try {
    await wait(SETTLED_MS);
    const { pssMb } = memoryOf(server.pids);
    const amount = bench.options.quick ? 1000 : 3000;
    const load = (url: string, rest: object) =>
      loader.run({ url: server.url + url, method: 'GET', connections: CONNECTIONS, amount, ...rest });
    const speed = async (url: string, rest: object = {}) => {
      await load(url, rest);
      return (await load(url, { ...rest, amount: 3 * amount })).requestsPerSecond;
    };
    const health = await speed('/health');
    const home = await speed('/');
    const me = await speed('/users/me', { headers: { authorization: `Bearer ${await tokenOf(server)}` } });
    const signUps = { method: 'POST', signUps: 'warm-up' };
    await load('/users', signUps);
    await received(smtp, amount + 1);
    const storm = await load('/users', { ...signUps, signUps: 'storm' });
    const stormEnd = performance.now();
    const during = await receivedSoFar(smtp);
    await received(smtp, amount - during);
    const mails = (amount - during) / ((performance.now() - stormEnd) / 1000);
    return {
      ...{ health, home, me, mails },
      signUp: storm.requestsPerSecond,
      signUpP99: percentile(storm.latencies, 99),
      boot: server.bootMs,
      pss: pssMb,
    };
  } finally {
    await server.stop();
  }
}

function start({ options: { beside } }: Bench, contender: Contender, env: Env): Promise<MeasuredServer> {
  if (contender === 'catamount') return startTree(env);
  if (contender === 'before') return startTree(env, beside);
  const { port } = new URL(env.SMTP_URL ?? '');
  const rails = { ...env, RAILS_ENV: 'production', SMTP_PORT: port };
  return MeasuredServer.start({ command: 'ruby', args: [RAILS], env: rails });
}

async function tokenOf({ url }: MeasuredServer): Promise<string> {
  const { status, body } = await request(`${url}/users`, { method: 'POST', json: person(0) });
  if (status !== 201) throw new Error(`POST /users: ${status} ${body}`);
  return (JSON.parse(body) as { readonly accessToken: string }).accessToken;
}

/** @returns the number of mails since the last call. */
function receivedSoFar(smtp: Child): Promise<number> {
  smtp.send('count');
  return smtp.next<number>();
}

async function received(smtp: Child, wanted: number): Promise<void> {
  const end = performance.now() + ALL_MAILED_MS;
  for (let got = await receivedSoFar(smtp); got < wanted; got += await receivedSoFar(smtp)) {
    if (performance.now() > end) throw new Error(`${wanted - got} of ${wanted} mails did not come`);
    await wait(LOOK_MS);
  }
}

function compare(rounds: Readonly<Record<Contender, readonly Figures[]>>, contenders: readonly Contender[]): string {
  const others = contenders.filter((name) => name !== 'catamount');
  const lines = (Object.entries(FIGURES) as [keyof Figures, Figure][]).map(([key, { name, goal, less }]) => {
    const samples = (contender: Contender) => rounds[contender].map((figures) => figures[key]);
    const ratios = (other: Contender) =>
      less ? pairedRatios(samples(other), samples('catamount')) : pairedRatios(samples('catamount'), samples(other));
    return [
      name,
      ...contenders.map((contender) => short(median(samples(contender)))),
      ...others.flatMap((other) => [
        judged(median(ratios(other)), other === 'rails' ? goal : {}),
        middleHalf(ratios(other)),
      ]),
    ];
  });
  const head = ['× better than', ...contenders, ...others.flatMap((other) => [`× ${other}`, 'middle half'])];
  return table(head, lines);
}
