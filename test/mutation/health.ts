import type { Mutation } from './mutation';

/** Mutations of how standstills are detected and reported. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a frozen job processor, which cannot report itself, is reported by the primary',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: 'const isSilent = ageMs > (boots ? bootTimeoutMs : UNRESPONSIVE_MS);',
    replace: 'const isSilent = boots && ageMs > bootTimeoutMs;',
    killedBy: ['test/cluster/primary/jobs-watch.test.ts'],
  },
  {
    promise: 'a job processor that does not finish booting is reported by the primary',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: 'const ageMs = reports || boots ? silentMs() : 0;',
    replace: 'const ageMs = reports ? silentMs() : 0;',
    killedBy: ['test/cluster/primary/jobs-watch.test.ts'],
  },
  {
    promise: 'a processor that was killed during a standstill does not count as moving again',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: '} else if (this.told && reports) {',
    replace: '} else if (this.told) {',
    killedBy: ['test/cluster/primary/jobs-watch.test.ts'],
  },
  {
    promise: '/ops reports a job processor that does not finish booting',
    file: 'lib/health/issues.ts',
    find: 'spanMs <= bootTimeoutMs) return [];',
    replace: 'spanMs > 0) return [];',
    killedBy: ['test/health/standstills.test.ts'],
  },
  {
    promise: 'a standstill since the start of a processor counts from the start of its process',
    file: 'lib/health/standstills.ts',
    find: 'return isFirst ? Math.max(owedMs, processMs) : owedMs;',
    replace: 'return owedMs;',
    killedBy: ['test/health/standstills.test.ts'],
  },
  {
    promise: 'looking for such rows does not exhaust the pool while their table is locked',
    file: 'lib/role/start/web.ts',
    find: 'knex: this.database.withTimeout(PROBE_STATEMENT_TIMEOUT_MS)',
    replace: 'knex: this.database.knex',
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
    promise: 'a probe starts no read while another is pending',
    file: 'lib/support/cached-probe.ts',
    find: 'this.unanswered === 0 &&',
    replace: '!this.pending &&',
    killedBy: ['test/support/cached-probe.test.ts'],
  },
  {
    promise: 'rows that plain SQL has inserted are found by a request of /ready',
    file: 'lib/role/start/web.ts',
    find: "(await import('../../job/dispatch/overdue')).lookForOverdue(knex).catch(() => undefined);",
    replace: '',
    killedBy: ['test/health/overdue.deep.ts'],
  },
  {
    promise: 'rows that plain SQL has inserted are found by a request of /ops or the metrics',
    file: 'lib/health/status-collector.ts',
    find: 'await lookForOverdue(knex);',
    replace: 'void lookForOverdue;',
    killedBy: ['test/health/overdue.deep.ts', 'test/job/dispatch/listener.test.ts'],
  },
  {
    promise: 'jobs that an operator reschedules are found by a dispatcher that rests',
    file: 'lib/job/sets/job-set.ts',
    find: "if (moved > 0 && action !== 'delete' && action !== 'kill') await this.announce();",
    replace: 'void this.announce;',
    killedBy: ['test/job/sets/moves.test.ts'],
  },
  {
    promise: 'a row that has just become due is left to the notification of its insert',
    file: 'lib/job/dispatch/overdue.ts',
    find: 'rows[0]?.overdue === true',
    replace: 'rows[0]?.overdue !== null',
    killedBy: ['test/job/dispatch/listener.test.ts'],
  },
  {
    promise: 'a queue whose only processor is in a dead tree is served by nobody',
    file: 'lib/health/issues.ts',
    find: 'return heartbeatAgeMs === null && limits.jobConcurrency',
    replace: 'return heartbeatAgeMs !== 0 && limits.jobConcurrency',
    killedBy: ['test/health/issues.test.ts'],
  },
  {
    promise: 'it is an issue if the tree that is shown no longer answers',
    file: 'lib/health/judge.ts',
    find: 'tree === shown && tree.heartbeatAgeMs === null ? []',
    replace: 'tree === shown ? []',
    killedBy: ['test/health/issues.test.ts'],
  },
];

export default mutations;
