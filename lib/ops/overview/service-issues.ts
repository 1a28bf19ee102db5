import type { QueueStatus } from '../../job/queue/queue-status';
import { codeOf, FULL_SHARE } from './dependency-view';
import type { Issue } from './issue';
import type { Sighting } from './lookout';
import { isLate } from './queue-rows';
import type { Words } from './words';

/** What is wrong with the services that trees share. @param served queues that some processor takes jobs from. */
export function serviceIssues(
  sighting: Sighting,
  warningMs: number,
  served: ReadonlySet<string>,
  words: Words,
): Issue[] {
  const { queues } = sighting;
  return [
    ...awayIssues(sighting, words),
    ...(queues.ok ? queues.value.flatMap((queue) => queueIssues(queue, warningMs, served, words)) : []),
    ...limitIssues(sighting, words),
    ...mailIssues(sighting, words),
  ];
}

function awayIssues({ postgres, redis, redisLost, at }: Sighting, { time }: Words): Issue[] {
  const issues: Issue[] = [];
  const spanOf = (since: Date) => time.span(Math.max(1000, at.getTime() - since.getTime()));
  if (!redis.ok) {
    const values = { span: spanOf(redis.since), code: redisLost ?? codeOf(redis.error) };
    issues.push({ tone: 'bad', key: 'redisAway', values, href: '/ops' });
  }
  if (!postgres.ok) {
    const values = { span: spanOf(postgres.since), code: codeOf(postgres.error) };
    issues.push({ tone: 'bad', key: 'postgresAway', values, href: '/ops' });
  }
  return issues;
}

function queueIssues(
  { name, latencyMs, paused, waiting }: QueueStatus,
  warningMs: number,
  served: ReadonlySet<string>,
  { time }: Words,
): Issue[] {
  const href = `/ops/jobs/queues/${encodeURIComponent(name)}`;
  if (paused) return [{ tone: 'warn', key: 'paused', values: { queue: name, count: waiting }, href }];
  if (!isLate(latencyMs, warningMs)) return [];
  const values = { queue: name, count: waiting, span: time.span(latencyMs), limit: time.span(warningMs) };
  return served.has(name)
    ? [{ tone: 'warn', key: 'late', values, href }]
    : [{ tone: 'bad', key: 'unserved', values, href }];
}

function limitIssues({ postgres, redis }: Sighting, words: Words): Issue[] {
  const issues: Issue[] = [];
  if (postgres.ok && postgres.value.used / postgres.value.allowed > FULL_SHARE) {
    const { used, allowed } = postgres.value;
    issues.push({ tone: 'warn', key: 'connections', values: { used, allowed }, href: '#postgres' });
  }
  if (redis.ok) {
    const { usedBytes, maxBytes, policy } = redis.value;
    if (maxBytes > 0 && usedBytes / maxBytes > FULL_SHARE)
      issues.push({
        tone: 'warn',
        key: 'redisFull',
        values: { percent: words.percent(usedBytes / maxBytes) },
        href: '#redis',
      });
    if (maxBytes > 0 && policy !== 'noeviction')
      issues.push({ tone: 'warn', key: 'eviction', values: { policy }, href: '#redis' });
  }
  return issues;
}

function mailIssues({ mail }: Sighting, { time, veiled }: Words): Issue[] {
  if (!mail.ok || !mail.value.failure) return [];
  const { at, error } = mail.value.failure;
  const values = { when: time.fromNow(at), error: veiled ? '' : error.slice(0, 120) };
  return [{ tone: 'warn', key: 'mailFails', values, href: '/ops/mail/deliveries?state=failed' }];
}
