import type { TreeStatus } from '../cluster/status';
import { type SnakeCased, snakeCase } from '../support/snake-case';
import { bySeverity, causesFirst, type Issue, type Level, readyWorkers, serviceIssues, treeIssues } from './issues';
import type { Suspect } from './probes';
import { type KnownTree, knownTrees, type SystemStatus, valueIn } from './status-collector';

export interface JudgedTree extends KnownTree {
  readonly issues: readonly Issue[];
}

/** A transient condition that needs no operator. */
type Transit = 'stopping' | 'phasedRestart' | 'starting' | 'notAllKnown';

/** The overall health, computed once so that pages, terminal and metrics agree. */
export interface Judgement {
  readonly level: 'ok' | 'busy' | Level;
  /** Causes before consequences, else `bad` before `warn`. */
  readonly issues: readonly Issue[];
  /** null: nothing is in progress. */
  readonly transit: Transit | null;
  /** The requested tree; undefined when it is unknown. */
  readonly shown: JudgedTree | undefined;
  readonly trees: readonly JudgedTree[];
}

/**
 * Judges one tree, the services that it uses, and, in one issue each, the other trees.
 * @param chosen id of a tree; null for that of this process. @param warningMs JOB_LATENCY_WARNING in ms; 0: never late.
 */
export function judge(systemStatus: SystemStatus, chosen: string | null, warningMs: number): Judgement {
  const suspects = valueIn(systemStatus.suspects) ?? [];
  const trees = knownTrees(systemStatus).flatMap((tree) => judged(tree, tree.own ? suspects : []));
  const shown = trees.find(({ own, treeStatus }) => (chosen === null ? own : treeStatus.id === chosen));
  const issues = causesFirst([
    ...(shown ? (shown.heartbeatAgeMs === null ? shown.issues : []) : [NO_PRIMARY]),
    ...trees.flatMap((tree) => (tree === shown && tree.heartbeatAgeMs === null ? [] : summarizeOther(tree))),
    ...serviceIssues(systemStatus, warningMs, trees),
  ]).filter(({ code }) => code !== 'migrationsUnread' || systemStatus.postgres.ok);
  const transit = shown && shown.heartbeatAgeMs === null ? findTransit(shown.treeStatus, systemStatus) : null;
  return { level: bySeverity(issues)[0]?.level ?? (transit ? 'busy' : 'ok'), issues, transit, shown, trees };
}

export function judgementJson({
  level,
  issues,
}: Pick<Judgement, 'level' | 'issues'>): SnakeCased<Pick<Judgement, 'level' | 'issues'>> {
  return snakeCase({ level, issues });
}

const NO_PRIMARY: Issue = { level: 'bad', code: 'noPrimary', figures: {} };

function judged(tree: KnownTree, suspects: readonly Suspect[]): JudgedTree[] {
  try {
    return [{ ...tree, issues: tree.heartbeatAgeMs === null ? treeIssues(tree.treeStatus, suspects) : [] }];
  } catch (thrown) {
    // A tree of another version may report a status of another shape: it is left out.
    if (tree.own) throw thrown;
    return [];
  }
}

/** A single issue for another tree: that it is unresponsive, or how many issues it has and the worst level. */
function summarizeOther({ treeStatus: { id, name }, heartbeatAgeMs, issues }: JudgedTree): Issue[] {
  if (heartbeatAgeMs !== null)
    return [{ level: 'bad', code: 'treeUnresponsive', subject: id, figures: { name, spanMs: heartbeatAgeMs } }];
  const [worst] = bySeverity(issues);
  if (!worst) return [];
  return [{ level: worst.level, code: 'otherTree', subject: id, figures: { name, count: issues.length } }];
}

/** @param systemStatus undefined when nothing beyond the tree's own status could be read. */
export function findTransit(treeStatus: TreeStatus, systemStatus: SystemStatus | undefined): Transit | null {
  const { stats, stopping, phasedRestart, limits } = treeStatus;
  if (stopping) return 'stopping';
  if (phasedRestart) return 'phasedRestart';
  const { state } = stats.jobProcessor;
  const jobsStart = limits.jobConcurrency > 0 && (state === 'booting' || state === 'disabled');
  if (readyWorkers(stats) < stats.workers || jobsStart) return 'starting';
  if (!systemStatus) return 'notAllKnown';
  const { queues, failures, mail, trees } = systemStatus;
  return [queues, failures, mail, trees].every(({ ok }) => ok) ? null : 'notAllKnown';
}
