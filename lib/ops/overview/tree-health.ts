import type { TreeStatus } from '../../cluster/status';
import type { Issue } from '../../health/issues';
import type { JudgedTree, Judgement } from '../../health/judge';
import type { SystemStatus } from '../../health/status-collector';
import type { ProblemError } from '../../web/context';
import type { Formatter } from '../ui/format';
import { localizedProblem, redisAway } from '../ui/shell';
import { type ProcessView, primaryView, workerView } from './process-cards';
import { jobsView } from './processor-card';

export interface TreeHealth {
  readonly treeStatus: TreeStatus;
  readonly own: boolean;
  /** Formatted time since its last heartbeat, when it is overdue; else null. */
  readonly unresponsiveFor: string | null;
  readonly nodes: readonly ProcessView[];
  readonly issues: readonly Issue[];
}

/** All known trees, and this process's own even if Redis does not list it. */
export function assessTrees({ trees }: Judgement, systemStatus: SystemStatus, format: Formatter): TreeHealth[] {
  return trees.flatMap((tree) => {
    try {
      return [seenTree(tree, systemStatus, format)];
    } catch (thrown) {
      // A tree of another version may have a status of another shape; it is left out.
      if (tree.own) throw thrown;
      return [];
    }
  });
}

function seenTree(
  { treeStatus, own, heartbeatAgeMs, issues }: JudgedTree,
  systemStatus: SystemStatus,
  format: Formatter,
): TreeHealth {
  const blockedBy = issues.find(({ code }) => code === 'jobsUnresponsive')?.detail;
  const nodes = nodeViews(treeStatus, systemStatus, format.at(treeStatus.at), blockedBy);
  if (heartbeatAgeMs === null) return { treeStatus, own, unresponsiveFor: null, nodes, issues };
  const span = format.seconds(heartbeatAgeMs);
  return {
    treeStatus,
    own,
    unresponsiveFor: span,
    nodes: nodes.map((node) => withoutHeartbeat(node, span, format)),
    issues: [],
  };
}

function nodeViews(
  treeStatus: TreeStatus,
  { queues }: SystemStatus,
  format: Formatter,
  blockedBy: string | undefined,
): ProcessView[] {
  const { limits, slots } = treeStatus;
  const served = queues.ok ? queues.value.filter(({ name }) => limits.queues.includes(name)) : undefined;
  const waiting = served?.reduce((sum, one) => sum + one.waiting + one.blocked, 0) ?? null;
  return [
    primaryView(treeStatus, format),
    ...slots.map((slot) => workerView(treeStatus, slot, format)),
    ...(limits.jobConcurrency > 0 ? [jobsView(treeStatus, waiting, format, blockedBy)] : []),
  ];
}

/** The card of a process without a current heartbeat: its last figures may no longer be true. */
function withoutHeartbeat(node: ProcessView, span: string, { t }: Formatter): ProcessView {
  const unknown = { text: '–', tone: null };
  return {
    ...node,
    tone: 'unknown',
    line: 'dashed',
    icon: 'unknown',
    phase: node.kind === 'primary' ? '' : t('overview.phase.unknown'),
    on: null,
    waiting: unknown,
    lag: unknown,
    memory: unknown,
    barPercent: 0,
    hot: false,
    say: t('overview.say.unheard', { span }),
    ...(node.moved !== undefined && { moved: '' }),
  };
}

/** The problem of a requested tree that is unknown: 404, or 503 while Redis, which knows the other trees, is down. */
export function missingTree({ trees }: Pick<SystemStatus, 'trees'>): ProblemError {
  return trees.ok ? localizedProblem(404, 'treeGone') : redisAway();
}
