import { ISSUE_CODES } from '../../../verdict/issue';
import { type Family, only } from '../family';

const MIB = 1_048_576;

export const TREE: readonly Family[] = [
  {
    name: 'catamount_info',
    type: 'gauge',
    help: 'Always 1; its labels tell which app this is, and of which versions.',
    read: ({ tree }) =>
      tree
        ? [
            {
              labels: { app: tree.app, version: tree.stats.versions.catamount, node: tree.stats.versions.node },
              value: 1,
            },
          ]
        : [],
  },
  {
    name: 'catamount_start_time_seconds',
    type: 'gauge',
    help: 'When the primary began, in seconds since 1970.',
    read: ({ tree }) => only(tree && Date.parse(tree.stats.started_at) / 1000),
  },
  {
    name: 'catamount_phase',
    type: 'gauge',
    help: 'Generation of web workers: one more with every phased restart.',
    read: ({ tree }) => only(tree?.stats.phase),
  },
  {
    name: 'catamount_workers',
    type: 'gauge',
    help: 'Web workers that there should be. 0: the primary serves the web itself.',
    read: ({ tree }) => only(tree?.stats.workers),
  },
  {
    name: 'catamount_workers_ready',
    type: 'gauge',
    help: 'Web workers that serve.',
    read: ({ tree }) => only(tree?.stats.booted_workers),
  },
  {
    name: 'catamount_worker_restarts_total',
    type: 'counter',
    help: 'Web workers that were put in the place of another, by reason.',
    read: ({ tree }) =>
      tree
        ? REASONS.map((reason) => ({ labels: { reason }, value: tree.stats.totals.worker_restarts[reason] ?? 0 }))
        : [],
  },
  {
    name: 'catamount_memory_bytes',
    type: 'gauge',
    help: 'Memory that the whole tree takes, as the sum of proportional set sizes.',
    read: ({ tree }) => only(tree?.stats.memory.pss_mb && tree.stats.memory.pss_mb * MIB),
  },
  {
    name: 'catamount_memory_limit_bytes',
    type: 'gauge',
    help: 'Memory that the whole tree may take. There is no such line without a limit.',
    read: ({ tree }) => only(tree?.stats.memory.limit_mb && tree.stats.memory.limit_mb * MIB),
  },
  {
    name: 'catamount_issues',
    type: 'gauge',
    help: 'What needs a person, by the names that the overview, catamount top and catamount status share: how many of each.',
    read: ({ issues }) =>
      issues
        ? ISSUE_CODES.map((code) => ({ labels: { code }, value: issues.filter((one) => one.code === code).length }))
        : [],
  },
  {
    name: 'catamount_readings_missing',
    type: 'gauge',
    help: 'Parts of this text that are left out, since what they are read from has failed or has not answered in 4 s.',
    read: ({ missing }) => only(missing),
  },
  {
    name: 'catamount_redis_up',
    type: 'gauge',
    help: 'Whether Redis answers the web worker that was asked.',
    read: ({ redisAnswers }) => only(redisAnswers ? 1 : 0),
  },
  {
    name: 'catamount_postgres_up',
    type: 'gauge',
    help: 'Whether Postgres answers the web worker that was asked.',
    read: ({ postgresAnswers }) => only(postgresAnswers ? 1 : 0),
  },
];

/** All are told from the start: what appears only with its first event is no increase. */
const REASONS = ['crash', 'boot', 'timeout', 'phase', 'memory', 'asked'] as const;
