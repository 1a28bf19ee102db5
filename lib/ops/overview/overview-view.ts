import type { TreePicture } from '../../cluster/tree-picture';
import type { Config } from '../../core/config';
import { type DependencyView, dependencyViews } from './dependency-view';
import { type EventLine, eventLines } from './event-lines';
import { jobsView } from './jobs-view';
import type { Sighting } from './lookout';
import { type MemoryView, memoryView } from './memory-view';
import { type CardView, cardView, type NodeView } from './node-view';
import { load, primaryView, singleView } from './primary-view';
import { type QueueRow, queueRows } from './queue-rows';
import { serviceIssues } from './service-issues';
import { valueIn } from './source';
import { treeIssues } from './tree-issues';
import { type VerdictView, verdictView } from './verdict-view';
import { facts, type Words } from './words';
import { workerView } from './worker-view';

/** Events that the page shows. */
const EVENTS = 8;

/** The tree that the page shows. */
export interface MachineView {
  readonly id: string;
  readonly name: string;
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
  /** null: its primary does not answer. */
  readonly machine: MachineView | null;
  readonly dependencies: readonly DependencyView[];
  /** null: Redis does not answer. */
  readonly queues: readonly QueueRow[] | null;
  /** Why not. */
  readonly redisCode: string | null;
}

export function overviewView(sighting: Sighting, config: Pick<Config, 'mail' | 'jobs'>, words: Words): OverviewView {
  const picture = valueIn(sighting.own);
  const { latencyWarningMs } = config.jobs;
  const nodes = picture ? nodeViews(picture, sighting, words) : [];
  const served = new Set(picture && picture.limits.jobConcurrency > 0 ? picture.limits.queues : []);
  const issues = [
    ...(picture ? treeIssues(picture, nodes, words) : []),
    ...serviceIssues(sighting, latencyWarningMs, served, words),
  ];
  const queues = valueIn(sighting.queues);
  return {
    at: sighting.at,
    verdict: verdictView(picture, sighting, issues, words),
    machine: picture ? machineView(picture, nodes, words) : null,
    dependencies: dependencyViews(sighting, picture?.embedded ?? [], config.mail.delivery, words),
    queues: queues ? queueRows(queues, valueIn(sighting.outbox), latencyWarningMs, words) : null,
    redisCode: sighting.redis.ok ? null : (sighting.redisLost ?? sighting.redis.error.constructor.name),
  };
}

function nodeViews(picture: TreePicture, { queues, redis }: Sighting, words: Words): NodeView[] {
  const { limits, slots } = picture;
  const single = singleView(picture, words);
  const waiting = queues.ok
    ? queues.value
        .filter(({ name }) => limits.queues.includes(name))
        .reduce((sum, one) => sum + one.waiting + one.held, 0)
    : null;
  return [
    primaryView(picture, words),
    ...(single ? [single] : slots.map((slot) => workerView(picture, slot, words))),
    ...(limits.jobConcurrency > 0 ? [jobsView(picture, { waiting, redisAnswers: redis.ok }, words)] : []),
  ];
}

function machineView(picture: TreePicture, nodes: readonly NodeView[], words: Words): MachineView {
  const { t } = words;
  const { stats, limits, rates } = picture;
  const jobs = nodes.find(({ kind }) => kind === 'jobs');
  const perS = rates.requestsPerS < 10 ? rates.requestsPerS.toFixed(1) : String(Math.round(rates.requestsPerS));
  return {
    id: picture.id,
    name: picture.name,
    line: facts(
      t('overview.say.up', { span: words.up(stats.started_at) }),
      load(picture) && t('overview.machine.rate', { perS }),
      jobs &&
        (jobs.on === null
          ? t('overview.machine.jobsUnknown')
          : t('overview.machine.jobs', { on: jobs.on, count: jobs.of })),
    ),
    nodes: nodes.map(cardView),
    memory: memoryView(picture, nodes, words),
    events: eventLines(picture.events, words, EVENTS),
    workers: stats.workers,
    order: limits.weighted ? t('overview.queues.weighted') : t('overview.queues.strict', { first: limits.queues[0] }),
  };
}
