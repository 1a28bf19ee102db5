import { webLoad } from '../../cluster/status';
import { bySeverity, servingWorkers } from '../../health/issues';
import type { Judgement } from '../../health/judge';
import type { SystemStatus } from '../../health/status-collector';
import { type Formatter, facts, type Tone } from '../ui/format';
import type { IconName } from '../ui/layout';
import { linkToTree } from './chosen-tree';
import { issueHref, issueWords, judgementTitle } from './issue-lines';
import type { TreeHealth } from './tree-health';

interface IssueLine {
  /** Unique on the page. */
  readonly id: string;
  readonly tone: 'bad' | 'warn';
  readonly href: string;
  readonly head: string;
  readonly rest: string;
  readonly parts: readonly string[];
}

export interface VerdictView {
  readonly tone: Tone;
  readonly icon: IconName;
  readonly title: string;
  readonly line: string;
  readonly issues: readonly IssueLine[];
}

export function healthSummary(
  shown: TreeHealth | undefined,
  systemStatus: SystemStatus,
  judgement: Judgement,
  format: Formatter,
): VerdictView {
  const { t } = format;
  const lines = judgement.issues.map((issue): IssueLine => {
    const { code, level: tone, subject = '' } = issue;
    const href = issueHref(issue, judgement.trees.find(({ own }) => own)?.treeStatus.id);
    return { id: `${code}-${subject}`, tone, href, ...issueWords(issue, format) };
  });
  const { level: tone } = judgement;
  const line = shown ? summaryLine(shown, systemStatus, format) : t('overview.verdict.noPrimary');
  const icon = tone === 'busy' ? 'restart' : tone;
  return { tone, icon, title: judgementTitle(judgement, format), line, issues: lines };
}

function summaryLine({ treeStatus, unresponsiveFor }: TreeHealth, { queues }: SystemStatus, format: Formatter): string {
  const { t, span } = format;
  if (unresponsiveFor !== null) return t('overview.say.unheard', { span: unresponsiveFor });
  const { stats } = treeStatus;
  const { pssMb: used, limitMb: limit } = stats.memory;
  const requests = webLoad(treeStatus);
  const waiting = queues.ok ? queues.value.reduce((sum, one) => sum + one.waiting + one.blocked, 0) : null;
  const oldest = queues.ok ? Math.max(0, ...queues.value.map(({ latencyMs, paused }) => (paused ? 0 : latencyMs))) : 0;
  return facts(
    stats.workers > 0 && t('overview.verdict.workers', { ready: servingWorkers(stats), count: stats.workers }),
    requests &&
      t(requests.waiting > 0 ? 'overview.verdict.busy' : 'overview.verdict.inFlight', {
        inFlight: requests.inFlight,
        of: requests.of,
        waiting: requests.waiting,
      }),
    waiting !== null &&
      (waiting === 0 ? t('overview.verdict.noJobWaits') : t('overview.verdict.jobsWait', { count: waiting })),
    oldest > 0 && t('overview.verdict.oldest', { span: span(oldest) }),
    used !== null && limit !== null && t('overview.verdict.memory', { percent: format.percent(used / limit) }),
  );
}

export interface TreeTab {
  readonly id: string;
  readonly name: string;
  readonly tone: Tone;
  readonly href: string;
  readonly current: boolean;
  /** Load and memory, such as `12/20 · 88 %`. */
  readonly figures: string;
  /** Share of its memory limit in use, percent. */
  readonly percent: number;
}

export function treeTab(
  { treeStatus, own, unresponsiveFor, issues }: TreeHealth,
  current: boolean,
  format: Formatter,
): TreeTab {
  const { id, name, stats } = treeStatus;
  const { pssMb: used, limitMb: limit } = stats.memory;
  const requests = webLoad(treeStatus);
  const share = used !== null && limit !== null ? format.percent(used / limit) : null;
  const figures = [
    requests ? `${requests.inFlight}/${requests.of}` : format.t('overview.trees.jobsOnly'),
    share === null ? format.mb(used) : `${share} %`,
  ];
  return {
    id,
    name,
    tone: unresponsiveFor === null ? (bySeverity(issues)[0]?.level ?? 'ok') : 'unknown',
    href: linkToTree('/ops', own ? null : id),
    current,
    figures:
      unresponsiveFor === null ? facts(...figures) : format.t('overview.trees.unresponsive', { span: unresponsiveFor }),
    percent: unresponsiveFor === null ? Math.min(100, share ?? 0) : 0,
  };
}
