import { codeOf } from '../../core/errors';
import type { Sighting } from '../../verdict/lookout';
import { FULL_SHARE, isFailing } from '../../verdict/service-issues';
import type { Reading } from '../../verdict/source';
import type { IconName } from '../page/icons';
import { facts, type Tone, type Words } from './words';

/** A service that the tree leans on. */
export interface DependencyView {
  readonly id: 'postgres' | 'redis' | 'mail';
  readonly name: string;
  readonly tone: Tone;
  readonly icon: IconName;
  readonly phase: string;
  readonly say: string;
}

/** No plan's limit: what Redis allows when nobody has set any. */
const MANY_CLIENTS = 5000;

/** @param embedded servers that this tree has started. @param delivery how mails go out. */
export function dependencyViews(
  sighting: Sighting,
  embedded: readonly string[],
  delivery: string,
  words: Words,
): DependencyView[] {
  return [
    postgresView(sighting, embedded, words),
    redisView(sighting, embedded, words),
    mailView(sighting, delivery, words),
  ];
}

function postgresView({ postgres }: Sighting, embedded: readonly string[], words: Words): DependencyView {
  const id = 'postgres';
  const name = 'Postgres';
  if (!postgres.ok) return { id, name, ...away(postgres, codeOf(postgres.error), words) };
  const { version, used, allowed, sizeBytes, pingMs } = postgres.value;
  return {
    id,
    name,
    tone: used / allowed > FULL_SHARE ? 'warn' : 'ok',
    icon: used / allowed > FULL_SHARE ? 'warn' : 'db',
    phase: ping(pingMs),
    say: facts(
      kindOf(version, embedded.includes('postgres'), words),
      words.t('overview.deps.connections', { used, allowed }),
      megabytes(sizeBytes),
    ),
  };
}

function redisView({ redis, redisLost }: Sighting, embedded: readonly string[], words: Words): DependencyView {
  const id = 'redis';
  const name = 'Redis';
  if (!redis.ok) return { id, name, ...away(redis, redisLost ?? codeOf(redis.error), words) };
  const { version, usedBytes, maxBytes, clients, maxClients, pingMs } = redis.value;
  const full = maxBytes > 0 && usedBytes / maxBytes > FULL_SHARE;
  return {
    id,
    name,
    tone: full ? 'warn' : 'ok',
    icon: full ? 'warn' : 'key',
    phase: ping(pingMs),
    say: facts(
      kindOf(version, embedded.includes('redis'), words),
      maxBytes > 0
        ? words.t('overview.deps.memoryOf', { used: megabytes(usedBytes), max: megabytes(maxBytes) })
        : megabytes(usedBytes),
      words.t(maxClients > MANY_CLIENTS ? 'overview.deps.clients' : 'overview.deps.clientsOf', {
        used: clients,
        allowed: maxClients,
      }),
    ),
  };
}

function mailView({ mail }: Sighting, delivery: string, words: Words): DependencyView {
  const { t, time } = words;
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
  const last =
    lastSent === null ? t('overview.deps.noMail') : t('overview.deps.lastMail', { when: time.fromNow(lastSent) });
  const say = facts(
    t(`overview.deps.by.${delivery}`),
    t('overview.deps.today', { count: sentToday }),
    failedToday > 0 && t('overview.deps.failed', { count: failedToday }),
    retryingToday > 0 && t('overview.deps.retrying', { count: retryingToday }),
    last,
  );
  if (isFailing(mail.value)) return { id, name, tone: 'warn', icon: 'warn', phase: t('overview.phase.fails'), say };
  return { id, name, tone: 'ok', icon: 'mail', phase: '', say };
}

function away(
  reading: Extract<Reading<unknown>, { ok: false }>,
  code: string,
  { t }: Words,
): Pick<DependencyView, 'tone' | 'icon' | 'phase' | 'say'> {
  const since = reading.since.toISOString().slice(11, 19);
  return {
    tone: 'bad',
    icon: 'bad',
    phase: t('overview.phase.noAnswer'),
    say: t('overview.deps.away', { code, since }),
  };
}

function kindOf(version: string, embedded: boolean, { t }: Words): string {
  return embedded ? t('overview.deps.embedded', { version }) : version;
}

function ping(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function megabytes(bytes: number): string {
  const mb = bytes / 1048576;
  return mb < 10 ? `${mb.toFixed(1)} MB` : `${Math.round(mb)} MB`;
}
