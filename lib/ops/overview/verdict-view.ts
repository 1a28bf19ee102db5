import type { Judgement } from '../../verdict/judge';
import type { Sighting } from '../../verdict/lookout';
import { readyWorkers } from '../../verdict/worker-state';
import type { IconName } from '../page/icons';
import { issueHref, issueWords, judgementTitle } from './issue-words';
import { load } from './primary-view';
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
  judgement: Judgement,
  words: Words,
): VerdictView {
  const { t } = words;
  const lines = judgement.issues.map((issue): IssueLine => {
    const { code, level: tone, subject = '' } = issue;
    const href = issueHref(issue, judgement.trees.find(({ own }) => own)?.picture.id);
    return { id: `${code}-${subject}`, tone, href, ...issueWords(issue, words) };
  });
  const { level: tone } = judgement;
  const line = shown ? lineOf(shown, sighting, words) : t('overview.verdict.noPrimary');
  const icon = tone === 'busy' ? 'restart' : tone;
  return { tone, icon, title: judgementTitle(judgement, words), line, issues: lines };
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
  const waiting = queues.ok ? queues.value.reduce((sum, one) => sum + one.waiting + one.held, 0) : null;
  const oldest = queues.ok ? Math.max(0, ...queues.value.map(({ latencyMs, paused }) => (paused ? 0 : latencyMs))) : 0;
  return facts(
    stats.workers > 0 && t('overview.verdict.workers', { ready: readyWorkers(picture), count: stats.workers }),
    requests &&
      t(requests.waiting > 0 ? 'overview.verdict.busy' : 'overview.verdict.inFlight', {
        inFlight: requests.inFlight,
        of: requests.of,
        waiting: requests.waiting,
      }),
    waiting !== null &&
      (waiting === 0 ? t('overview.verdict.noJobWaits') : t('overview.verdict.jobsWait', { count: waiting })),
    oldest > 0 && t('overview.verdict.oldest', { span: time.span(oldest) }),
    used !== null && limit !== null && t('overview.verdict.memory', { percent: words.percent(used / limit) }),
  );
}
