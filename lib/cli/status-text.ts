import type { TreeStatus } from '../cluster/status';
import { bySeverity, servingWorkers, treeIssues } from '../health/issues';
import { findTransit, type Judgement, judge } from '../health/judge';
import type { SystemStatus } from '../health/status-collector';
import { issueLine, judgementTitle } from '../ops/overview/issue-lines';
import { progressText } from '../ops/overview/processor-card';
import { Formatter } from '../ops/ui/format';
import { pageTexts, TEXTS } from '../ops/ui/texts';
import { pluralize } from '../support/counted';
import type { Health } from './health-reader';
import { stateOf } from './stats-text';

const texts = pageTexts(TEXTS).in('en');

/** What `catamount status` prints: that the tree runs, its health, and when its jobs last made progress. */
export function statusLines(treeStatus: TreeStatus, { systemStatus, trouble }: Health, now: Date): string[] {
  const { pid, phase, workers, jobProcessor } = treeStatus.stats;
  const progress = progressText(treeStatus, new Formatter(texts, now));
  return [
    `Catamount runs: pid ${pid}, phase ${phase}, ${servingWorkers(treeStatus.stats)} of ${pluralize(workers, 'worker')} ready, job processor ${stateOf(jobProcessor)}`,
    ...judgementLines(systemStatus, treeStatus, now),
    ...(progress === '' ? [] : [progress]),
    ...(trouble === undefined ? [] : [trouble]),
  ];
}

/**
 * The health of the tree in lines, with the same judgement and format as the overview page.
 * @param systemStatus undefined if Redis and Postgres could not be reached.
 */
export function judgementLines(systemStatus: SystemStatus | undefined, treeStatus: TreeStatus, now: Date): string[] {
  const format = new Formatter(texts, now);
  const judgement = readJudgement(systemStatus, treeStatus);
  const title = judgementTitle(judgement, format);
  if (judgement.issues.length === 0) return [judgement.transit ? `~ ${title}.` : `${title}.`];
  return [`! ${title}:`, ...judgement.issues.map((issue) => `  ${issueLine(issue, format)}`)];
}

/** Judges the given tree status, which may be newer than the one in `systemStatus`. */
export function readJudgement(
  systemStatus: SystemStatus | undefined,
  treeStatus: TreeStatus,
): Pick<Judgement, 'level' | 'issues' | 'transit'> {
  if (systemStatus) {
    const own = { ok: true, value: treeStatus, tookMs: 0 } as const;
    return judge({ ...systemStatus, own }, null, treeStatus.limits.latencyWarningMs);
  }
  const issues = bySeverity(treeIssues(treeStatus));
  return { level: issues[0]?.level ?? 'busy', issues, transit: findTransit(treeStatus, undefined) };
}
