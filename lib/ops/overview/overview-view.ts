import { webLoad } from '../../cluster/status';
import type { Config } from '../../core/config';
import { codeOf } from '../../core/errors';
import { bySeverity, type Issue, plannedConnections } from '../../health/issues';
import { type Judgement, judge } from '../../health/judge';
import { type LastProgress, lastProgress } from '../../health/last-progress';
import type { Suspect } from '../../health/probes';
import { type SystemStatus, valueIn } from '../../health/status-collector';
import type { ChartMark } from '../charts/charts-view';
import { type Formatter, facts, type Tone } from '../ui/format';
import type { IconName } from '../ui/layout';
import { type EventLine, eventLines } from './event-lines';
import { healthSummary, type TreeTab, treeTab, type VerdictView } from './health-summary';
import { issueHref } from './issue-lines';
import { type MemoryView, memoryView } from './memory-view';
import { type CardView, cardView, ICONS } from './process-cards';
import { type DependencyView, dependencyViews, type QueueRow, queueRows } from './service-cards';
import { possibleActions, type TreeAction } from './tree-actions';
import { assessTrees, type TreeHealth } from './tree-health';
import { type WorkRow, workRows } from './work-rows';

const MAX_EVENTS = 30;

interface MachineView {
  readonly id: string;
  readonly name: string;
  /** Name under which the history keeps its figures. */
  readonly place: string;
  readonly limitMb: number | null;
  /** True for the tree that serves the page. */
  readonly own: boolean;
  readonly unresponsive: boolean;
  readonly line: string;
  /** The tree's processes, the primary first. */
  readonly nodes: readonly CardView[];
  readonly memory: MemoryView;
  readonly events: readonly EventLine[];
  /** Its starts and restarts, for the charts. */
  readonly restarts: readonly ChartMark[];
  readonly work: readonly WorkRow[];
  /** Commands that are possible now, but for those that are for one worker. */
  readonly actions: readonly TreeAction['key'][];
  readonly order: string;
  /** When each part of its jobs last made progress, for programs: `last_moves` in the page's JSON. */
  readonly lastMoves: readonly LastProgress[];
}

/** All values of the overview, formatted for the reader. */
export interface OverviewView {
  readonly at: Date;
  /** The judgement itself, as `catamount status --json` has it, for programs that read the page's JSON. */
  readonly level: Judgement['level'];
  readonly issues: readonly Issue[];
  readonly verdict: VerdictView;
  /** null when there is only one tree. */
  readonly trees: readonly TreeTab[] | null;
  /** True when Redis, which knows the other trees, is down. */
  readonly othersUnknown: boolean;
  /** null when its primary does not answer. */
  readonly machine: MachineView | null;
  readonly dependencies: readonly DependencyView[];
  /** null when Postgres is down. */
  readonly queues: readonly QueueRow[] | null;
  /** The error code of that outage. */
  readonly queuesCode: string | null;
  /** The error code while Redis is down. */
  readonly redisCode: string | null;
  /** True when there is no Redis, and so no history. */
  readonly redisOff: boolean;
}

/** @param chosen id of a tree; null for the one that serves the page. @returns undefined for an unknown tree. */
export function overviewView(
  systemStatus: SystemStatus,
  chosen: string | null,
  config: Pick<Config, 'mail' | 'jobs'>,
  format: Formatter,
): OverviewView | undefined {
  const { latencyWarningMs } = config.jobs;
  const judgement = judge(systemStatus, chosen, latencyWarningMs);
  const trees = assessTrees(judgement, systemStatus, format);
  const shown = trees.find((tree) => (chosen === null ? tree.own : tree.treeStatus.id === chosen));
  if (!shown && chosen !== null) return undefined;
  const blame = blamer(judgement);
  const queues = valueIn(systemStatus.queues);
  const { redis } = systemStatus;
  const standsStill = format.t('overview.phase.standsStill');
  return {
    at: systemStatus.at,
    level: judgement.level,
    issues: judgement.issues,
    verdict: healthSummary(shown, systemStatus, judgement, format),
    trees: trees.length > 1 || !redis.ok ? trees.map((tree) => treeTab(tree, tree === shown, format)) : null,
    othersUnknown: !redis.ok,
    machine: shown ? machineView(shown, blame, valueIn(systemStatus.suspects) ?? [], format) : null,
    dependencies: dependencyViews(
      systemStatus,
      plannedConnections(judgement.trees),
      shown?.treeStatus.embedded ?? [],
      config.mail.delivery,
      format,
    )
      .map((card) => blame(card, `#${card.id}`))
      .map((card) => (card.phase === '' && card.tone === 'bad' ? { ...card, phase: standsStill } : card)),
    queues: queues ? queueRows(queues, latencyWarningMs, format) : null,
    queuesCode: systemStatus.queues.ok ? null : codeOf(systemStatus.queues.error),
    redisCode: redis.ok ? null : (systemStatus.redisLost ?? redis.error.constructor.name),
    redisOff: redis.ok && redis.value === null,
  };
}

type Blame = <T extends { readonly tone: Tone; readonly icon: IconName }>(card: T, href: string) => T;

/** A card to which issues link is as bad as the worst of them. */
function blamer({ issues }: Judgement): Blame {
  const tones = new Map(
    bySeverity(issues)
      .toReversed()
      .map((issue) => [issueHref(issue, undefined), issue.level]),
  );
  return (card, href) => {
    const tone = tones.get(href);
    const worse = tone === 'bad' ? card.tone !== 'bad' : card.tone === 'ok';
    return tone && worse ? { ...card, tone, icon: ICONS[tone] } : card;
  };
}

const RESTARTS: readonly string[] = ['primary.listening', 'primary.restarted', 'phase.completed'];

function machineView(
  { treeStatus, own, unresponsiveFor, nodes }: TreeHealth,
  blame: Blame,
  suspects: readonly Suspect[],
  format: Formatter,
): MachineView {
  const { t } = format;
  const { id, name, place, stats, limits, rates } = treeStatus;
  const jobs = nodes.find(({ kind }) => kind === 'jobs');
  const { requestsPerS } = rates;
  const summary = facts(
    t('overview.say.up', { span: format.at(treeStatus.at).up(stats.startedAt) }),
    stats.versions.release && t('overview.machine.release', { release: stats.versions.release }),
    webLoad(treeStatus) && t('overview.machine.rate', { perS: format.rate(requestsPerS) }),
    jobs &&
      (jobs.on === null
        ? t('overview.machine.jobsUnknown')
        : t('overview.machine.jobs', { on: jobs.on, count: jobs.of })),
  );
  return {
    id,
    name,
    place,
    limitMb: stats.memory.limitMb,
    own,
    unresponsive: unresponsiveFor !== null,
    line: unresponsiveFor === null ? summary : t('overview.say.unheard', { span: unresponsiveFor }),
    nodes: nodes.map((node) => cardView(blame(node, `#p-${node.id}`))),
    memory: memoryView(treeStatus, format, unresponsiveFor === null),
    events: eventLines(treeStatus.events, format, MAX_EVENTS),
    restarts: treeStatus.events
      .filter(({ name }) => RESTARTS.includes(name))
      .map(({ at, name }) => ({ at: Date.parse(at) / 1000, label: t(`charts.mark.${name.replace('.', '-')}`) })),
    work: workRows(treeStatus, own ? suspects : [], format),
    actions: unresponsiveFor === null ? possibleActions(treeStatus) : [],
    order: limits.weighted ? t('overview.queues.weighted') : t('overview.queues.strict', { first: limits.queues[0] }),
    lastMoves: lastProgress(treeStatus),
  };
}
