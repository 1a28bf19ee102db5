import path from 'node:path';
import type { Benchmark } from './harness/bench';
import { compare, loadInRounds } from './harness/load';
import { MeasuredServer } from './harness/measured-server';

const SERVER = path.join(__dirname, 'limit-server.js');
const BURST = 2000;
/** Connections with a request in flight each. Of 32, most wait for a thread. */
const CONNECTIONS = [4, 32];
const GOALS = { unlimited: { speed: { atLeast: 0.98 } } };

/** The cost of the concurrency limit: one process with MAX_THREADS threads against the same one without the limit. */
export const limit: Benchmark = {
  about: 'cost of the concurrency limit: the same app with and without it',
  peers: true,
  async run(bench) {
    const start = (name: 'limited' | 'unlimited') => MeasuredServer.start({ args: [SERVER, name] });
    const results = await loadInRounds(
      bench.rounds,
      ['limited', 'unlimited'],
      start,
      CONNECTIONS.map((connections) => ({
        bursts: bench.options.quick ? 8 : 16,
        warmUp: 4,
        amount: BURST,
        task: () => ({ method: 'GET', path: '/answer', connections }),
      })),
    );
    const cells = results.map((rounds, index) => ({ connections: CONNECTIONS[index], rounds }));
    for (const { connections, rounds } of cells) {
      const title = `${connections} connections`;
      bench.say(`\n${compare(rounds, { title, subject: 'limited', goals: GOALS })}`);
    }
    return cells;
  },
};
