import path from 'node:path';
import type { Benchmark } from './harness/bench';
import { type BurstsResult, burstsInTurn, compare, withLoader } from './harness/load';
import { MeasuredServer } from './harness/measured-server';

const SERVER = path.join(__dirname, 'sign-up-server.js');
const PATHS = { 'with its job': '/with-job', 'no job': '/no-job', 'bee-queue after commit': '/bee-queue' } as const;
type Way = keyof typeof PATHS;
const WAYS = Object.keys(PATHS) as Way[];

/** The number of requests that the tree serves at once: two workers with five threads each. */
const CONNECTIONS = 10;
const BURST = 300;
const GOALS = { 'no job': { speed: { atLeast: 0.8 }, p99: { atMost: 1.3 } } };

/** Sign-ups a second for each way to enqueue. One tree has a route for each, so that nothing else differs. */
export const signUp: Benchmark = {
  about:
    'sign-ups a second, and their p99: with the row of its job in the transaction, without a job, with bee-queue after the commit',
  peers: true,
  async run(bench) {
    const rounds = byWay((): BurstsResult[] => []);
    const stores = await bench.stores();
    let burst = 0;
    await withLoader(async (loader) => {
      for (let round = 0; round < bench.rounds; round++) {
        await stores.clear();
        // No job is performed, as other benchmarks measure that.
        const server = await MeasuredServer.start({ args: [SERVER], env: { ...stores.env, JOB_PROCESSOR: '0' } });
        try {
          const sameServer = byWay(() => server);
          const results = await burstsInTurn(loader, sameServer, {
            bursts: bench.options.quick ? 6 : 16,
            warmUp: 4,
            amount: BURST,
            task: (way) => ({
              path: PATHS[way],
              method: 'POST',
              connections: CONNECTIONS,
              signUps: `user${++burst}`,
            }),
          });
          for (const way of WAYS) rounds[way].push(results[way]);
        } finally {
          await server.stop();
        }
      }
    });
    bench.say(`\n${compare(rounds, { title: 'workers alone', subject: 'with its job', goals: GOALS })}`);
    return { rounds };
  },
};

function byWay<T>(value: () => T): Record<Way, T> {
  return { 'with its job': value(), 'no job': value(), 'bee-queue after commit': value() };
}
