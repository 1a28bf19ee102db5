import type { TreeStatus } from '../cluster/status';
import { type SnakeCased, snakeCase } from '../support/snake-case';
import { bySeverity, type Issue, type Level, readyWorkers, serviceIssues, treeIssues } from './issues';
import { type KnownTree, knownTrees, type SystemStatus } from './status-collector';

/** A tree, and what is wrong with it. */
export interface JudgedTree extends KnownTree {
  readonly issues: readonly Issue[];
}

/** What passes by itself. */
type Transit = 'stopping' | 'phasedRestart' | 'starting' | 'notAllKnown';

/** How all is. Whoever tells an operator of it tells this. */
export interface Judgement {
  readonly level: 'ok' | 'busy' | Level;
  /** Worst first. */
  readonly issues: readonly Issue[];
  /** null: nothing. */
  readonly transit: Transit | null;
  /** The tree that was asked for; undefined: it is not known. */
  readonly shown: JudgedTree | undefined;
  readonly trees: readonly JudgedTree[];
}

/**
 * Judges one tree, the services that it uses, and whether other trees need somebody.
 * @param chosen id of a tree; null for the own one. @param warningMs JOB_LATENCY_WARNING.
 */
export function judge(systemStatus: SystemStatus, chosen: string | null, warningMs: number): Judgement {
  const trees = knownTrees(systemStatus).flatMap((tree) => judged(tree));
  const shown = trees.find(({ own, treeStatus }) => (chosen === null ? own : treeStatus.id === chosen));
  const issues = bySeverity([
    ...(shown ? (shown.heartbeatAgeMs === null ? shown.issues : []) : [NO_PRIMARY]),
    ...trees.flatMap((tree) => (tree === shown && tree.heartbeatAgeMs === null ? [] : fromAfar(tree))),
    ...serviceIssues(systemStatus, warningMs, trees),
  ]);
  const transit = shown && shown.heartbeatAgeMs === null ? transitOf(shown.treeStatus, systemStatus) : null;
  return { level: issues[0]?.level ?? (transit ? 'busy' : 'ok'), issues, transit, shown, trees };
}

/** The same for programs. */
export function judgementJson({
  level,
  issues,
}: Pick<Judgement, 'level' | 'issues'>): SnakeCased<Pick<Judgement, 'level' | 'issues'>> {
  return snakeCase({ level, issues });
}

const NO_PRIMARY: Issue = { level: 'bad', code: 'noPrimary', figures: {} };

function judged(tree: KnownTree): JudgedTree[] {
  try {
    return [{ ...tree, issues: tree.heartbeatAgeMs === null ? treeIssues(tree.treeStatus) : [] }];
  } catch (thrown) {
    // Another version may draw another status: its tree is not known here.
    if (tree.own) throw thrown;
    return [];
  }
}

/** Of another tree only that there is something. */
function fromAfar({ treeStatus: { id, name }, heartbeatAgeMs, issues }: JudgedTree): Issue[] {
  if (heartbeatAgeMs !== null)
    return [{ level: 'bad', code: 'treeSilent', subject: id, figures: { name, spanMs: heartbeatAgeMs } }];
  const [worst] = bySeverity(issues);
  if (!worst) return [];
  return [{ level: worst.level, code: 'otherTree', subject: id, figures: { name, count: issues.length } }];
}

/** @param systemStatus undefined: only the tree itself could be asked. */
export function transitOf(treeStatus: TreeStatus, systemStatus: SystemStatus | undefined): Transit | null {
  const { stats, stopping, phasedRestart } = treeStatus;
  if (stopping) return 'stopping';
  if (phasedRestart) return 'phasedRestart';
  if (readyWorkers(treeStatus) < stats.workers) return 'starting';
  if (!systemStatus) return 'notAllKnown';
  const { queues, failures, mail, trees } = systemStatus;
  return [queues, failures, mail, trees].every(({ ok }) => ok) ? null : 'notAllKnown';
}
