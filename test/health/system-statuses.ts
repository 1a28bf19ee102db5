import type { TreeStatus } from '../../lib/cluster/status';
import type { SystemStatus } from '../../lib/health/status-collector';
import type { QueueStatus } from '../../lib/job/row/queue-status';
import type { ProbeResult } from '../../lib/support/cached-probe';
import { NOW, treeStatusOf } from '../ops/overview/tree-statuses';

export function known<T>(value: T): ProbeResult<T> {
  return { ok: true, value, tookMs: 1 };
}

export function away(code: string, secondsAgo: number): Extract<ProbeResult<never>, { ok: false }> {
  const error = Object.assign(new Error(`connect ${code}`), { code });
  return { ok: false, error, since: new Date(Date.parse(NOW) - secondsAgo * 1000) };
}

export function queueOf(name: string, changes: Partial<QueueStatus> = {}): QueueStatus {
  return {
    name,
    waiting: 0,
    active: 0,
    blocked: 0,
    delayed: 0,
    latencyMs: 0,
    next: undefined,
    paused: undefined,
    ...changes,
  };
}

export const NO_FAILURES = { classes: [], spanMs: 300_000, dead: [], deadSpanMs: 86_400_000 };
export const POSTGRES = {
  version: '16.4',
  used: 4,
  allowed: 20,
  sizeBytes: 1e7,
  pingMs: 1,
  refusesWrites: false,
  lock: null,
};
export const READ_ONLY = known({ ...POSTGRES, refusesWrites: true });
export const REDIS = {
  version: '7.2',
  usedBytes: 1e6,
  maxBytes: 25e6,
  clients: 5,
  maxClients: 20,
  policy: 'noeviction',
  pingMs: 1,
};
export const MAIL = {
  sentToday: 261,
  claimedToday: 0,
  failedToday: 0,
  retryingToday: 0,
  lastSent: new Date(NOW),
  failedSince: 0,
  failure: null,
};

/** A status in which all is well, except for the given changes. */
export function systemStatusOf(
  treeStatus: TreeStatus = treeStatusOf(),
  changes: Partial<SystemStatus> = {},
): SystemStatus {
  return {
    at: new Date(NOW),
    own: known(treeStatus),
    trees: known([]),
    queues: known([queueOf('default'), queueOf('mailer')]),
    foreign: known(false),
    failures: known(NO_FAILURES),
    cron: known([]),
    postgres: known(POSTGRES),
    redis: known(REDIS),
    mail: known(MAIL),
    suspects: known([]),
    redisLost: null,
    ...changes,
  };
}
