import type { TreeStatus } from '../../cluster/status';
import type { Issue } from '../../health/issues';
import type { JudgedTree, Judgement } from '../../health/judge';
import type { SystemStatus } from '../../health/status-collector';
import type { ProblemError } from '../../web/problem';
import type { Formatter } from '../ui/format';
import { localizedProblem } from '../ui/shell';
import { type NodeView, primaryView, singleView, workerView } from './process-cards';
import { jobsView } from './processor-card';

/** A tree, judged, in the reader's format. */
export interface TreeHealth {
  readonly picture: TreeStatus;
  readonly own: boolean;
  /** For how long it has been silent, in format; null of one that is heard of. */
  readonly silent: string | null;
  readonly nodes: readonly NodeView[];
  readonly issues: readonly Issue[];
}

/** All trees that are known, this process's own among them whether Redis knows it or not. */
export function assessTrees({ trees }: Judgement, sighting: SystemStatus, format: Formatter): TreeHealth[] {
  return trees.flatMap((tree) => {
    try {
      return [seenTree(tree, sighting, format)];
    } catch (thrown) {
      // Another version may draw another picture: its tree is not known here.
      if (tree.own) throw thrown;
      return [];
    }
  });
}

function seenTree(
  { picture, own, heartbeatAgeMs, issues }: JudgedTree,
  sighting: SystemStatus,
  format: Formatter,
): TreeHealth {
  const nodes = nodeViews(picture, sighting, format.at(picture.at));
  if (heartbeatAgeMs === null) return { picture, own, silent: null, nodes, issues };
  const span = format.seconds(heartbeatAgeMs);
  return { picture, own, silent: span, nodes: nodes.map((node) => unheardOf(node, span, format)), issues: [] };
}

function nodeViews(picture: TreeStatus, { queues, redis }: SystemStatus, format: Formatter): NodeView[] {
  const { limits, slots } = picture;
  const single = singleView(picture, format);
  const served = queues.ok ? queues.value.filter(({ name }) => limits.queues.includes(name)) : undefined;
  const waiting = served?.reduce((sum, one) => sum + one.waiting + one.blocked, 0) ?? null;
  return [
    primaryView(picture, format),
    ...(single ? [single] : slots.map((slot) => workerView(picture, slot, format))),
    ...(limits.jobConcurrency > 0 ? [jobsView(picture, { waiting, redisAnswers: redis.ok }, format)] : []),
  ];
}

/** What was true of it need not be so any more. */
function unheardOf(node: NodeView, span: string, { t }: Formatter): NodeView {
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
  };
}

/** Why the tree that was asked for is not shown: it is gone, or Redis, which knows the other trees, does not answer now. */
export function missingTree({ trees }: Pick<SystemStatus, 'trees'>): ProblemError {
  if (trees.ok) return localizedProblem(404, 'treeGone');
  return localizedProblem(503, 'away', { values: { who: 'Redis' }, headers: { 'Retry-After': '2' } });
}
