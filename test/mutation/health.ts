import type { Mutation } from './mutation';

/** Mutations of how standstills are detected and reported. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a frozen job processor, which cannot report itself, is reported by the primary',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: 'const isSilent = ageMs > (boots ? bootTimeoutMs : CHILD_SILENT_MS);',
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
    promise: 'rows that plain SQL has inserted are found by a request of /ready',
    file: 'lib/role/start/web.ts',
    find: "(await import('../../job/dispatch/overdue')).lookForOverdue(knex).catch(() => undefined);",
    replace: '',
    killedBy: ['test/health/overdue.deep.ts'],
  },
  {
    promise: 'it is an issue if the tree that is shown no longer answers',
    file: 'lib/health/judge.ts',
    find: 'tree === shown && tree.heartbeatAgeMs === null ? []',
    replace: 'tree === shown ? []',
    killedBy: ['test/health/issues.test.ts'],
  },
  {
    promise: 'several parts that stand still for one reason are one issue',
    file: 'lib/health/issues.ts',
    find: 'return issue === stalled.find((one) => one.figures.cause === cause);',
    replace: 'return true;',
    killedBy: ['test/health/issues.test.ts'],
  },
  {
    promise: 'a store that fails stands before what follows from it',
    file: 'lib/health/issues.ts',
    find: '    ...bySeverity(stores),\n    ...bySeverity(others.filter((issue) => !isConsequence(issue))),',
    replace: '    ...bySeverity(others.filter((issue) => !isConsequence(issue))),\n    ...bySeverity(stores),',
    killedBy: ['test/health/issues.test.ts'],
  },
];

export default mutations;
