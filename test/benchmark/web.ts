import fs from 'node:fs';
import path from 'node:path';
import { tempFolder } from '../support/temp-folder';
import type { Benchmark } from './harness/bench';
import { compare, loadInRounds } from './harness/load';
import { type Env, MeasuredServer } from './harness/measured-server';
import { PEERS } from './harness/product';

const CATAMOUNT = path.join(__dirname, 'web-catamount.js');
const PEER = path.join(__dirname, 'web-peer.js');
const PM2 = path.join(PEERS, 'node_modules/pm2/bin/pm2-runtime');
const BURST = 2000;

/** Servers with two workers each. @param env environment of the tree's stores, which only the whole tree needs. */
const CONTENDERS = {
  catamount: (env) => MeasuredServer.start({ args: [CATAMOUNT], env }),
  'cluster + ours': () => startPeer('cluster', 'ours'),
  'cluster + by hand': () => startPeer('cluster', 'by-hand'),
  'throng + ours': () => startPeer('throng', 'ours'),
  'pm2 + ours': startPm2,
  'cluster + node:http': () => startPeer('cluster', 'raw'),
} as const satisfies Readonly<Record<string, (env: Env) => Promise<MeasuredServer>>>;

type Contender = keyof typeof CONTENDERS;

const CONNECTIONS = 32;
const GOALS = {
  'cluster + ours': { speed: { atLeast: 0.95 } },
  'pm2 + ours': { speed: { atLeast: 1 } },
};

/** Requests a second of one trivial route in two workers, through the whole stack around it. */
export const web: Benchmark = {
  about: 'requests a second of the whole stack, two workers: against node:cluster, throng, pm2, bare node:http',
  peers: true,
  async run(bench) {
    const names = (Object.keys(CONTENDERS) as Contender[]).filter((name) => name === 'catamount' || bench.wants(name));
    const { env } = await bench.stores();
    const [rounds = {}] = await loadInRounds(bench.rounds, names, (name) => CONTENDERS[name](env), [
      {
        bursts: bench.options.quick ? 6 : 12,
        warmUp: 4,
        amount: BURST,
        task: () => ({ method: 'GET', path: '/answer', connections: CONNECTIONS }),
      },
    ]);
    const title = `GET, ${CONNECTIONS} connections`;
    bench.say(`\n${compare(rounds, { title, subject: 'catamount', goals: GOALS })}`);
    return { rounds };
  },
};

/** Connections with a request in flight each. Of 32, most wait for a thread. */
const LIMIT_CONNECTIONS = [4, 32];
const LIMIT_GOALS = { unlimited: { speed: { atLeast: 0.98 } } };

/** The cost of the concurrency limit: one process with MAX_THREADS threads against the same one without the limit. */
export const limit: Benchmark = {
  about: 'cost of the concurrency limit: the same app with and without it',
  peers: true,
  async run(bench) {
    const results = await loadInRounds(
      bench.rounds,
      ['ours', 'unlimited'],
      (name) => startPeer('single', name),
      LIMIT_CONNECTIONS.map((connections) => ({
        bursts: bench.options.quick ? 8 : 16,
        warmUp: 4,
        amount: BURST,
        task: () => ({ method: 'GET', path: '/answer', connections }),
      })),
    );
    const cells = results.map((rounds, index) => ({ connections: LIMIT_CONNECTIONS[index], rounds }));
    for (const { connections, rounds } of cells) {
      const title = `${connections} connections`;
      bench.say(`\n${compare(rounds, { title, subject: 'ours', goals: LIMIT_GOALS })}`);
    }
    return cells;
  },
};

function startPeer(supervisor: string, application: string): Promise<MeasuredServer> {
  return MeasuredServer.start({ args: [PEER, supervisor, application] });
}

/** Starts pm2 in the foreground, as in a container, so that no daemon remains. */
function startPm2(): Promise<MeasuredServer> {
  const home = tempFolder('pm2');
  const file = path.join(home, 'ecosystem.config.json');
  const app = { name: 'bench', script: PEER, args: 'pm2 ours', exec_mode: 'cluster', instances: 2 };
  fs.writeFileSync(file, JSON.stringify({ apps: [app] }));
  return MeasuredServer.start({ args: [PM2, 'start', file], env: { PM2_HOME: home } });
}
