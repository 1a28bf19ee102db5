import type { IconName } from '../page/icons';
import { type Issue, worstFirst } from './issue';
import type { Sighting } from './lookout';
import { load, readyWorkers } from './primary-view';
import type { SeenTree } from './seen-tree';
import { facts, type Tone, type Words } from './words';

export interface IssueLine {
  /** Unlike any other's on the page. */
  readonly id: string;
  readonly tone: 'bad' | 'warn';
  readonly href: string;
  readonly head: string;
  readonly rest: string;
}

/** The answer, and what led to it. */
export interface VerdictView {
  readonly tone: Tone;
  readonly icon: IconName;
  readonly title: string;
  readonly line: string;
  readonly issues: readonly IssueLine[];
}

export function verdictView(
  shown: SeenTree | undefined,
  sighting: Sighting,
  issues: readonly Issue[],
  words: Words,
): VerdictView {
  const { t } = words;
  const lines = worstFirst(issues).map(({ tone, key, values, href }): IssueLine => {
    const texts = `overview.issue.${key}`;
    const id = [key, values.slot ?? values.queue ?? ''].join('-');
    return { id, tone, href, head: t(`${texts}.head`, values), rest: t(`${texts}.rest`, values) };
  });
  const tone: Tone = lines[0]?.tone ?? 'ok';
  const line = shown ? lineOf(shown, sighting, words) : t('overview.verdict.noPrimary');
  const icon = tone === 'ok' ? 'ok' : tone === 'bad' ? 'bad' : 'warn';
  return { tone, icon, title: titleOf(sighting, lines.length, words), line, issues: lines };
}

function titleOf({ redis, postgres }: Sighting, count: number, { t }: Words): string {
  if (!redis.ok && !postgres.ok) return t('overview.verdict.bothAway');
  if (!redis.ok) return t('overview.verdict.redisAway');
  if (!postgres.ok) return t('overview.verdict.postgresAway');
  return count === 0 ? t('overview.verdict.well') : t('overview.verdict.needs', { count });
}

function lineOf({ picture, silent }: SeenTree, { redis, queues }: Sighting, words: Words): string {
  const { t, time } = words;
  if (silent !== null) return t('overview.say.unheard', { span: silent });
  if (!redis.ok)
    return t(
      picture.stats.workers > 0 || picture.stats.single ? 'overview.verdict.unknown' : 'overview.verdict.jobsUnknown',
    );
  const { stats } = picture;
  const { pss_mb: used, limit_mb: limit } = stats.memory;
  const requests = load(picture);
  const oldest = queues.ok
    ? Math.max(0, ...queues.value.map(({ latencyMs, paused }) => (paused ? 0 : latencyMs)))
    : null;
  return facts(
    stats.workers > 0 && t('overview.verdict.workers', { ready: readyWorkers(picture), count: stats.workers }),
    requests &&
      t(requests.waiting > 0 ? 'overview.verdict.busy' : 'overview.verdict.inFlight', {
        inFlight: requests.inFlight,
        of: requests.of,
        waiting: requests.waiting,
      }),
    oldest !== null &&
      (oldest === 0 ? t('overview.verdict.noJobWaits') : t('overview.verdict.oldest', { span: time.span(oldest) })),
    used !== null && limit !== null && t('overview.verdict.memory', { percent: words.percent(used / limit) }),
  );
}
