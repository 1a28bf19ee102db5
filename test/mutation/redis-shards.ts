import type { Mutation } from './mutation';

const SHARDS_TEST = ['test/job/shards.test.ts'];

/** Mutations of what keeps queues on servers of their own, a server that is away from stopping others, and one that is silent. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a queue lives on its own server of REDIS_SHARDS',
    file: 'lib/core/redis-shards.ts',
    find: 'return this.byQueue.get(queue)?.client ?? this.home;',
    replace: 'return this.byQueue.has(queue) ? this.home : this.home;',
    killedBy: SHARDS_TEST,
  },
  {
    promise: 'a server that is frozen keeps no permits from the jobs of others',
    file: 'lib/job/fetch/shared-fetcher.ts',
    find: '      this.shared.free += wanted;',
    replace: '',
    killedBy: SHARDS_TEST,
  },
  {
    promise: 'a job that must run alone does, whatever server it comes from',
    file: 'lib/job/fetch/shared-fetcher.ts',
    find: 'return this.shared.fetchers.some((one) => one.running.size > 0 || one.fetches > 0);',
    replace: 'return this.running.size > 0 || this.fetches > 0;',
    killedBy: SHARDS_TEST,
  },
  {
    promise: 'the rows of a server that is away stay in the outbox, and those of others go on',
    file: 'lib/job/outbox/relay.ts',
    find: 'return [...this.gauge.saturated, ...(shardsOf(this.options.redis)?.awayQueues ?? [])];',
    replace: 'return shardsOf(this.options.redis) ? this.gauge.saturated : this.gauge.saturated;',
    killedBy: SHARDS_TEST,
  },
  {
    promise: 'a connection of the job processor that answers nothing is left',
    file: 'lib/support/progress.ts',
    find: `else this.onSilent(`,
    replace: `else String(`,
    killedBy: ['test/core/redis-connection.test.ts'],
  },
  {
    promise: 'so is one that is not greeted',
    file: 'lib/support/progress.ts',
    find: `      this.expect(greeting.promise);\n`,
    replace: ``,
    killedBy: ['test/core/redis-connection.test.ts'],
  },
  {
    promise: 'and one whose greeting was refused',
    file: 'lib/support/progress.ts',
    find: `['ready', 'end', 'reconnecting']`,
    replace: `['ready', 'error', 'end']`,
    killedBy: ['test/job/fetch/bee-connection.test.ts'],
  },
];

export default mutations;
