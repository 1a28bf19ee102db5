import type { Mutation } from './mutation';

const SHARDS_TEST = ['test/job/shards.test.ts'];

/** Mutations of queues on their own servers, of the isolation of an unavailable server, and of silent connections. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a queue lives on its own server of REDIS_SHARDS',
    file: 'lib/core/redis-shards.ts',
    find: 'return this.byQueue.get(queue)?.client ?? this.home;',
    replace: 'return this.byQueue.has(queue) ? this.home : this.home;',
    killedBy: SHARDS_TEST,
  },
  {
    promise: 'a frozen server holds no permits of the shared budget',
    file: 'lib/job/fetch/shared-fetcher.ts',
    find: '      this.shared.free += wanted;',
    replace: '',
    killedBy: SHARDS_TEST,
  },
  {
    promise: 'a job that must run alone does so, whatever server it comes from',
    file: 'lib/job/fetch/shared-fetcher.ts',
    find: 'return this.shared.fetchers.some((one) => one.running.size > 0 || one.fetches > 0);',
    replace: 'return this.running.size > 0 || this.fetches > 0;',
    killedBy: SHARDS_TEST,
  },
  {
    promise: 'the rows of an unavailable server stay in the outbox, and those of others are dispatched',
    file: 'lib/job/outbox/relay.ts',
    find: 'return [...this.gauge.saturated, ...(shardsOf(this.options.redis)?.awayQueues ?? [])];',
    replace: 'return shardsOf(this.options.redis) ? this.gauge.saturated : this.gauge.saturated;',
    killedBy: SHARDS_TEST,
  },
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
    killedBy: ['test/job/fetch/bee-connection.test.ts'],
  },
];

export default mutations;
