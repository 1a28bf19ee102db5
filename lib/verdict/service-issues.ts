import { told } from '../cluster/stats';
import { codeOf } from '../core/errors';
import type { QueueStatus } from '../job/queue/queue-status';
import type { Issue } from './issue';
import type { KnownTree } from './known-trees';
import type { Sighting } from './lookout';
import type { MailFacts } from './mail-facts';
import { type Holder, slotHolders } from './slot-holders';

/** Share of the connections, or of the memory, above which little is left. */
export const FULL_SHARE = 0.9;
/** One mail that is refused says something of its address; so many in a row say something of the server. */
const MAIL_FAILURES = 3;

/** What is wrong with the services that trees share, and with what they do in them. */
export function serviceIssues(sighting: Sighting, warningMs: number, trees: readonly KnownTree[]): Issue[] {
  const { queues } = sighting;
  return [
    ...awayIssues(sighting),
    ...foreignIssues(sighting),
    ...(queues.ok ? queues.value.flatMap((queue) => queueIssues(queue, warningMs, trees)) : []),
    ...failureIssues(sighting),
    ...limitIssues(sighting),
    ...mailIssues(sighting),
  ];
}

/** @param warningMs 0: never. */
export function isLate(latencyMs: number, warningMs: number): boolean {
  return warningMs > 0 && latencyMs > warningMs;
}

function awayIssues({ postgres, redis, redisLost, at }: Sighting): Issue[] {
  const issues: Issue[] = [];
  const since = (time: Date) => Math.max(1000, at.getTime() - time.getTime());
  if (!redis.ok) {
    const figures = { spanMs: since(redis.since), error: redisLost ?? codeOf(redis.error) };
    issues.push({ level: 'bad', code: 'redisAway', figures });
  }
  if (!postgres.ok) {
    const figures = { spanMs: since(postgres.since), error: codeOf(postgres.error) };
    issues.push({ level: 'bad', code: 'postgresAway', figures });
  }
  return issues;
}

/** Jobs that came along with a copied database would reach real people: they wait until somebody says that they may. */
function foreignIssues({ foreign }: Sighting): Issue[] {
  return foreign.ok && foreign.value ? [{ level: 'bad', code: 'foreign', figures: {} }] : [];
}

function queueIssues(
  { name, latencyMs, paused, waiting, held }: QueueStatus,
  warningMs: number,
  trees: readonly KnownTree[],
): Issue[] {
  const about = { subject: name };
  const count = waiting + held;
  if (paused) return [{ ...about, level: 'warn', code: 'paused', figures: { queue: name, count } }];
  if (!isLate(latencyMs, warningMs)) return [];
  const figures = { queue: name, count, spanMs: latencyMs, limitMs: warningMs };
  const serving = trees.filter(({ silentMs, picture: { limits } }) => {
    return silentMs === null && limits.jobConcurrency > 0 && limits.queues.includes(name);
  });
  if (serving.length === 0) return [{ ...about, level: 'bad', code: 'unserved', figures }];
  const holders = holdersIn(serving);
  if (holders.length > 0) return [{ ...about, level: 'warn', code: 'slotsHeld', figures, holders }];
  return [{ ...about, level: 'warn', code: 'late', figures }];
}

function holdersIn(trees: readonly KnownTree[]): Holder[] {
  return slotHolders(
    trees.map(({ picture: { limits, stats } }) => ({
      concurrency: limits.jobConcurrency,
      running: (told(stats.job_processor.last_status)?.in_flight ?? []).map(({ what, ageMs }) => {
        return { class: what.replace(/ on .*/, ''), ageMs };
      }),
    })),
  );
}

function failureIssues({ failures, cron }: Sighting): Issue[] {
  const issues: Issue[] = [];
  if (failures.ok) {
    const { classes, dead, spanMs, deadSpanMs } = failures.value;
    for (const { class: name, failed, runs } of classes) {
      const figures = { class: name, count: failed, runs, percent: Math.round((100 * failed) / runs), spanMs };
      issues.push({ level: 'warn', code: 'failing', subject: name, figures });
    }
    if (dead > 0) issues.push({ level: 'warn', code: 'deaths', figures: { count: dead, spanMs: deadSpanMs } });
  }
  for (const { name, place } of cron.ok ? cron.value : [])
    issues.push({ level: 'warn', code: 'cronFails', subject: name, figures: { name, place } });
  return issues;
}

function limitIssues({ postgres, redis }: Sighting): Issue[] {
  const issues: Issue[] = [];
  if (postgres.ok && postgres.value.used / postgres.value.allowed > FULL_SHARE) {
    const { used, allowed } = postgres.value;
    issues.push({ level: 'warn', code: 'connections', figures: { used, allowed } });
  }
  if (redis.ok) {
    const { usedBytes, maxBytes, policy } = redis.value;
    if (maxBytes > 0 && usedBytes / maxBytes > FULL_SHARE) {
      const figures = { percent: Math.round((100 * usedBytes) / maxBytes) };
      issues.push({ level: 'warn', code: 'redisFull', figures });
    }
    if (maxBytes > 0 && policy !== 'noeviction') issues.push({ level: 'warn', code: 'eviction', figures: { policy } });
  }
  return issues;
}

/** Whether it is the server that fails, and not one mail. */
export function isFailing({ failure, failedSince }: MailFacts): boolean {
  return failure !== null && failedSince >= MAIL_FAILURES;
}

function mailIssues({ mail, at }: Sighting): Issue[] {
  if (!mail.ok || !isFailing(mail.value)) return [];
  const { failure, failedSince, lastSent } = mail.value;
  if (!failure) return [];
  const spanMs = Math.max(1000, at.getTime() - failure.at.getTime());
  const unsent = lastSent !== null && { unsentMs: Math.max(1000, at.getTime() - lastSent.getTime()) };
  const figures = { count: failedSince, spanMs, ...unsent };
  return [{ level: 'warn', code: 'mailFails', figures, detail: failure.error }];
}
