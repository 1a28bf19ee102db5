import type { RecentEvent } from '../../cluster/recent-events';
import type { Config } from '../../core/config';
import { judge } from '../../verdict/judge';
import type { Sighting } from '../../verdict/lookout';
import { valueIn } from '../../verdict/source';
import { type DependencyView, dependencyViews } from './dependency-view';
import { type EventLine, eventLines } from './event-lines';
import { type MemoryView, memoryView } from './memory-view';
import { type CardView, cardView } from './node-view';
import { load } from './primary-view';
import { type QueueRow, queueRows } from './queue-rows';
import { type SeenTree, seenTrees } from './seen-tree';
import { type TreeTab, treeTab } from './tree-strip';
import { type VerdictView, verdictView } from './verdict-view';
import { facts, type Words } from './words';

/** Events that the page shows. */
const EVENTS = 8;

/** The tree that the page shows. */
export interface MachineView {
  readonly id: string;
  readonly name: string;
  /** Where its figures are kept. */
  readonly place: string;
  readonly limitMb: number | null;
  /** It shows the page itself. */
  readonly own: boolean;
  readonly silent: boolean;
  readonly line: string;
  /** The primary first. */
  readonly nodes: readonly CardView[];
  readonly memory: MemoryView;
  readonly events: readonly EventLine[];
  readonly workers: number;
  readonly order: string;
}

/** All that the overview shows, in the reader's words. */
export interface OverviewView {
  readonly at: Date;
  readonly verdict: VerdictView;
  /** null where there is one tree only. */
  readonly trees: readonly TreeTab[] | null;
  /** Redis does not answer, which knows the other trees. */
  readonly othersUnknown: boolean;
  /** null: its primary does not answer. */
  readonly machine: MachineView | null;
  readonly dependencies: readonly DependencyView[];
  /** null: Redis does not answer. */
  readonly queues: readonly QueueRow[] | null;
  /** Why not. */
  readonly redisCode: string | null;
}

/** @param chosen id of a tree; null for the one that shows the page. @returns undefined when that tree is not known. */
export function overviewView(
  sighting: Sighting,
  chosen: string | null,
  config: Pick<Config, 'mail' | 'jobs'>,
  words: Words,
): OverviewView | undefined {
  const { latencyWarningMs } = config.jobs;
  const judgement = judge(sighting, chosen, latencyWarningMs);
  const trees = seenTrees(judgement, sighting, words);
  const shown = trees.find((tree) => (chosen === null ? tree.own : tree.picture.id === chosen));
  if (!shown && chosen !== null) return undefined;
  const queues = valueIn(sighting.queues);
  const { redis } = sighting;
  return {
    at: sighting.at,
    verdict: verdictView(shown, sighting, judgement, words),
    trees: trees.length > 1 || !redis.ok ? trees.map((tree) => treeTab(tree, tree === shown, words)) : null,
    othersUnknown: !redis.ok,
    machine: shown ? machineView(shown, valueIn(sighting.acts), words) : null,
    dependencies: dependencyViews(sighting, shown?.picture.embedded ?? [], config.mail.delivery, words),
    queues: queues ? queueRows(queues, valueIn(sighting.outbox), latencyWarningMs, words) : null,
    redisCode: redis.ok ? null : (sighting.redisLost ?? redis.error.constructor.name),
  };
}

function machineView(
  { picture, own, silent, nodes }: SeenTree,
  acts: readonly RecentEvent[] | undefined,
  words: Words,
): MachineView {
  const { t } = words;
  const { id, name, place, stats, limits, rates } = picture;
  const jobs = nodes.find(({ kind }) => kind === 'jobs');
  const { requestsPerS } = rates;
  const perS = requestsPerS > 0 && requestsPerS < 10 ? requestsPerS.toFixed(1) : String(Math.round(requestsPerS));
  const known = facts(
    t('overview.say.up', { span: words.at(picture.at).up(stats.started_at) }),
    load(picture) && t('overview.machine.rate', { perS }),
    jobs &&
      (jobs.on === null
        ? t('overview.machine.jobsUnknown')
        : t('overview.machine.jobs', { on: jobs.on, count: jobs.of })),
  );
  return {
    id,
    name,
    place,
    limitMb: stats.memory.limit_mb,
    own,
    silent: silent !== null,
    line: silent === null ? known : t('overview.say.unheard', { span: silent }),
    nodes: nodes.map(cardView),
    memory: memoryView(picture, nodes, words, silent === null),
    events: eventLines(picture.events, words, EVENTS, acts),
    workers: stats.workers,
    order: limits.weighted ? t('overview.queues.weighted') : t('overview.queues.strict', { first: limits.queues[0] }),
  };
}
