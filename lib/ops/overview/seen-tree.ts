import type { TreePicture } from '../../cluster/tree-picture';
import { byTextAndNumber } from '../../support/text-order';
import type { ListedTree } from '../../tree/tree-list';
import type { Issue } from './issue';
import { jobsView } from './jobs-view';
import type { Sighting } from './lookout';
import type { NodeView } from './node-view';
import { primaryView, singleView } from './primary-view';
import { valueIn } from './source';
import { treeIssues } from './tree-issues';
import type { Words } from './words';
import { workerView } from './worker-view';

/** A tree shows once a second that it lives: one that has not for so long is cut off, or dead, ms. */
const SILENT_MS = 5000;

/** A tree, judged. */
export interface SeenTree {
  readonly picture: TreePicture;
  readonly own: boolean;
  /** For how long it has been silent, in words; null of one that is heard of. */
  readonly silent: string | null;
  readonly nodes: readonly NodeView[];
  readonly issues: readonly Issue[];
}

/** All trees that are known, this process's own among them whether Redis knows it or not. */
export function seenTrees(sighting: Sighting, words: Words): SeenTree[] {
  const own = valueIn(sighting.own);
  const listed = valueIn(sighting.trees) ?? [];
  const others = listed.filter(({ picture }) => picture.id !== own?.id);
  const all = [...(own ? [{ picture: own, silentMs: 0 }] : []), ...others];
  const names = all.map(({ picture }) => picture.name);
  const seen = all.flatMap((tree) => {
    const isOwn = tree.picture.id === own?.id;
    try {
      return [seenTree(tree, isOwn, sighting, words)];
    } catch (thrown) {
      // Another version may draw another picture: its tree is not known here.
      if (isOwn) throw thrown;
      return [];
    }
  });
  // Two of one name are told apart by their pids.
  return seen
    .map((tree) => {
      const { picture } = tree;
      const alone = names.filter((name) => name === picture.name).length === 1;
      return alone ? tree : { ...tree, picture: { ...picture, name: `${picture.name} (pid ${picture.stats.pid})` } };
    })
    .sort((a, b) => byTextAndNumber(a.picture.name, b.picture.name));
}

function seenTree({ picture, silentMs }: ListedTree, own: boolean, sighting: Sighting, words: Words): SeenTree {
  const then = words.at(picture.at);
  const nodes = nodeViews(picture, sighting, then);
  if (silentMs <= SILENT_MS) return { picture, own, silent: null, nodes, issues: treeIssues(picture, nodes, then) };
  const span = words.seconds(silentMs);
  return { picture, own, silent: span, nodes: nodes.map((node) => unheardOf(node, span, words)), issues: [] };
}

function nodeViews(picture: TreePicture, { queues, redis }: Sighting, words: Words): NodeView[] {
  const { limits, slots } = picture;
  const single = singleView(picture, words);
  const served = queues.ok ? queues.value.filter(({ name }) => limits.queues.includes(name)) : undefined;
  const waiting = served?.reduce((sum, one) => sum + one.waiting + one.held, 0) ?? null;
  return [
    primaryView(picture, words),
    ...(single ? [single] : slots.map((slot) => workerView(picture, slot, words))),
    ...(limits.jobConcurrency > 0 ? [jobsView(picture, { waiting, redisAnswers: redis.ok }, words)] : []),
  ];
}

/** What was true of it need not be so any more. */
function unheardOf(node: NodeView, span: string, { t }: Words): NodeView {
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
