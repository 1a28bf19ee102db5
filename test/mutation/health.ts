import type { Mutation } from './mutation';

/** Mutations of how a standstill is told. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a frozen job processor, which says nothing of itself, is told by the primary',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: 'const isSilent = ageMs > (boots ? BOOTS_MS : UNRESPONSIVE_MS);',
    replace: 'const isSilent = boots && ageMs > BOOTS_MS;',
    killedBy: ['test/cluster/primary/jobs-watch.test.ts'],
  },
  {
    promise: 'so is one that does not come to the end of its boot',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: 'const ageMs = reports || boots ? silentMs() : 0;',
    replace: 'const ageMs = reports ? silentMs() : 0;',
    killedBy: ['test/cluster/primary/jobs-watch.test.ts'],
  },
  {
    promise: 'a processor that was killed while it stood still does not count as going on',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: '} else if (this.told && reports) {',
    replace: '} else if (this.told) {',
    killedBy: ['test/cluster/primary/jobs-watch.test.ts'],
  },
  {
    promise: '/ops tells of a job processor that does not come to the end of its boot',
    file: 'lib/health/issues.ts',
    find: 'spanMs <= BOOTS_MS) return [];',
    replace: 'spanMs > 0) return [];',
    killedBy: ['test/health/standstills.test.ts'],
  },
  {
    promise: 'what keeps a processor from its work since its start counts from when its process began',
    file: 'lib/health/standstills.ts',
    find: 'return isFirst ? Math.max(owedMs, processMs) : owedMs;',
    replace: 'return owedMs;',
    killedBy: ['test/health/standstills.test.ts'],
  },
  {
    promise: 'rows that plain SQL has inserted are found by whoever asks /ready',
    file: 'lib/role/web.ts',
    find: "(await import('../job/outbox/overdue')).lookForOverdue(...stores).catch(() => undefined);",
    replace: '',
    killedBy: ['test/health/overdue.deep.ts'],
  },
  {
    promise: 'and by whoever looks at /ops or reads the metrics',
    file: 'lib/health/status-collector.ts',
    find: 'await lookForOverdue(knex, client);',
    replace: 'await known();',
    killedBy: ['test/health/overdue.deep.ts'],
  },
  {
    promise: 'but none of them waits for an outbox that somebody has locked, while the pool runs out of connections',
    file: 'lib/role/web.ts',
    find: 'this.looking = this.database.withTimeout(LOOK_STATEMENT_TIMEOUT_MS);',
    replace: 'this.looking = this.database.knex;',
    killedBy: ['test/health/overdue.deep.ts'],
  },
  {
    promise: 'Postgres is asked to cancel a statement that has timed out',
    file: 'lib/model/database.ts',
    find: '  cancelAfterTimeout(connection);',
    replace: '',
    killedBy: ['test/model/database.test.ts'],
  },
  {
    promise: 'a probe begins no read while one still waits',
    file: 'lib/support/cached-probe.ts',
    find: 'this.unanswered === 0 &&',
    replace: '!this.pending &&',
    killedBy: ['test/support/cached-probe.test.ts'],
  },
  {
    promise: 'what an operator retries is found by a relay whose connection has fallen silent',
    file: 'lib/job/sets/job-set.ts',
    find: "if (!this.notifies || (to !== 'queue' && to !== 'delay')) return;",
    replace: 'if (count > 0) return;',
    killedBy: ['test/job/outbox/listener.test.ts'],
  },
  {
    promise: 'a row that is due but fresh is left to whoever has inserted it',
    file: 'lib/job/outbox/overdue.ts',
    find: 'rows[0]?.overdue === true',
    replace: 'rows[0]?.overdue !== null',
    killedBy: ['test/job/outbox/listener.test.ts'],
  },
];

export default mutations;
