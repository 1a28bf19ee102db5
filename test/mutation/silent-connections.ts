import type { Mutation } from './mutation';

/** Mutations of silent connections. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a connection of the job processor that gets no replies is closed',
    file: 'lib/support/progress.ts',
    find: `else this.onSilent(`,
    replace: `else String(`,
    killedBy: ['test/core/redis-connection.test.ts'],
  },
  {
    promise: 'a connection of the job processor without a greeting is closed',
    file: 'lib/support/progress.ts',
    find: `      this.expect(greeting.promise);\n`,
    replace: ``,
    killedBy: ['test/core/redis-connection.test.ts'],
  },
  {
    promise: 'a connection of the job processor whose greeting was rejected is closed',
    file: 'lib/support/progress.ts',
    find: `['ready', 'end', 'reconnecting']`,
    replace: `['ready', 'error', 'end']`,
    killedBy: ['test/core/redis-connection.test.ts'],
  },
];

export default mutations;
