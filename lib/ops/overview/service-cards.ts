import { codeOf } from '../../core/errors';
import { causeOf, refusalOf } from '../../core/failure-cause';
import { isFailing, isLate } from '../../health/issues';
import type { SystemStatus } from '../../health/status-collector';
import type { QueueStatus } from '../../job/row/queue-status';
import type { ProbeResult } from '../../support/cached-probe';
import { type Formatter, facts, type Tone } from '../ui/format';
import type { IconName } from '../ui/layout';

export interface DependencyView {
  readonly id: 'postgres' | 'redis' | 'mail';
  readonly name: string;
  readonly tone: Tone;
  readonly icon: IconName;
  readonly phase: string;
  readonly say: string;
  /** It does not answer, or refuses what is asked of it. */
  readonly cut?: boolean;
}

/** A `maxclients` above this is Redis's default and not the limit of a plan, so it is not shown. */
const MANY_CLIENTS = 5000;
/** Ways to send mails that have names in each language. The others are proper names. */
const NAMED = ['smtp', 'file', 'log', 'test'];

/**
 * @param planned connections to Postgres that all trees may open.
 * @param embedded names of the servers that this tree has started.
 * @param delivery the setting MAIL_DELIVERY.
 */
export function dependencyViews(
  systemStatus: SystemStatus,
  planned: number,
  embedded: readonly string[],
  delivery: string,
  format: Formatter,
): DependencyView[] {
  return [
    postgresView(systemStatus, planned, embedded, format),
    redisView(systemStatus, embedded, format),
    mailView(systemStatus, delivery, format),
  ];
}

function postgresView(
  { postgres }: SystemStatus,
  planned: number,
  embedded: readonly string[],
  format: Formatter,
): DependencyView {
  const id = 'postgres';
  const name = 'Postgres';
  if (!postgres.ok) return { id, name, ...away('bad', postgres, codeOf(postgres.error), format) };
  const { version, used, allowed, sizeBytes, pingMs } = postgres.value;
  return {
    id,
    name,
    tone: 'ok',
    icon: 'db',
    phase: format.ping(pingMs),
    say: facts(
      formatVersion(version, embedded.includes('postgres'), format),
      format.t('overview.deps.connections', { used, allowed }),
      planned > 0 && format.t('overview.deps.planned', { planned }),
      format.memory(sizeBytes),
    ),
  };
}

function redisView({ redis, redisLost }: SystemStatus, embedded: readonly string[], format: Formatter): DependencyView {
  const id = 'redis';
  const name = 'Redis';
  if (!redis.ok) return { id, name, ...away('warn', redis, redisLost ?? codeOf(redis.error), format) };
  if (redis.value === null) {
    const { t } = format;
    return { id, name, tone: 'ok', icon: 'key', phase: t('overview.phase.off'), say: t('overview.deps.redisOff') };
  }
  const { version, usedBytes, maxBytes, clients, maxClients, pingMs } = redis.value;
  return {
    id,
    name,
    tone: 'ok',
    icon: 'key',
    phase: format.ping(pingMs),
    say: facts(
      formatVersion(version, embedded.includes('redis'), format),
      maxBytes > 0
        ? format.t('overview.deps.memoryOf', { used: format.memory(usedBytes), max: format.memory(maxBytes) })
        : format.memory(usedBytes),
      format.t(maxClients > MANY_CLIENTS ? 'overview.deps.clients' : 'overview.deps.clientsOf', {
        count: clients,
        allowed: maxClients,
      }),
    ),
  };
}

function mailView({ mail }: SystemStatus, delivery: string, format: Formatter): DependencyView {
  const { t, fromNow } = format;
  const id = 'mail';
  const name = t('overview.name.mail');
  if (!mail.ok)
    return {
      id,
      name,
      tone: 'unknown',
      icon: 'unknown',
      phase: t('overview.phase.unknown'),
      say: t('overview.deps.mailUnknown'),
    };
  const { sentToday, failedToday, retryingToday, lastSent } = mail.value;
  const last = lastSent === null ? t('overview.deps.noMail') : t('overview.deps.lastMail', { when: fromNow(lastSent) });
  const say = facts(
    NAMED.includes(delivery) ? t(`overview.deps.by.${delivery}`) : delivery,
    t('overview.deps.today', { count: sentToday }),
    failedToday > 0 && t('overview.deps.failed', { count: failedToday }),
    retryingToday > 0 && t('overview.deps.retrying', { count: retryingToday }),
    last,
  );
  if (isFailing(mail.value)) return { id, name, tone: 'warn', icon: 'warn', phase: t('overview.phase.fails'), say };
  return { id, name, tone: 'ok', icon: 'mail', phase: '', say };
}

/** @param tone that of the issue: requests and jobs go on without Redis. */
function away(
  tone: 'warn' | 'bad',
  reading: Extract<ProbeResult<unknown>, { ok: false }>,
  code: string,
  { t }: Formatter,
): Pick<DependencyView, 'tone' | 'icon' | 'phase' | 'say' | 'cut'> {
  const since = reading.since.toISOString().slice(11, 19);
  return {
    tone,
    icon: tone,
    cut: true,
    phase: t(`overview.phase.${refusalOf(causeOf(reading.error)) ?? 'noAnswer'}`),
    say: t('overview.deps.away', { code, since }),
  };
}

function formatVersion(version: string, embedded: boolean, { t }: Formatter): string {
  return embedded ? t('overview.deps.embedded', { version }) : version;
}

export interface QueueRow {
  readonly name: string;
  readonly href: string;
  readonly size: number;
  readonly latency: string;
  readonly late: boolean;
  readonly paused: boolean;
  /** Class of the next job. */
  readonly next: string;
}

/** The queues in the order in which the tree serves them, then all others. */
export function queueRows(queues: readonly QueueStatus[], warningMs: number, format: Formatter): QueueRow[] {
  return queues.map(({ name, waiting, blocked, latencyMs, paused, next }) => ({
    name,
    href: `/ops/jobs/queues/${encodeURIComponent(name)}`,
    size: waiting + blocked,
    latency: waiting === 0 ? '–' : format.span(latencyMs),
    late: isLate(latencyMs, warningMs) && !paused,
    paused: paused !== undefined,
    next: next ?? '',
  }));
}
