import { processorsOf, reported, type TreeStatus } from '../../cluster/status';
import type { Config } from '../../core/config';
import { codeOf } from '../../core/errors';
import type { RecentEvent } from '../../core/notable-events';
import { type Issue, plannedConnections } from '../../health/issues';
import { type Judgement, judge } from '../../health/judge';
import { type LastProgress, lastProgress } from '../../health/last-progress';
import { type SystemStatus, valueIn } from '../../health/status-collector';
import { type Formatter, facts, type WorkerShade, workerShade } from '../ui/format';
import { type EventLine, eventLines, healthSummary, type TreeTab, treeTab, type VerdictView } from './health-summary';
import { type CardView, cardView, load, type NodeView } from './process-cards';
import { type DependencyView, dependencyViews, type QueueRow, queueRows } from './service-cards';
import { assessTrees, type TreeHealth } from './tree-health';

/** Number of events that the page shows. */
const EVENTS = 8;

/** The tree that the page shows, formatted. */
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
  /** Its processes, the primary first. */
  readonly nodes: readonly CardView[];
  readonly memory: MemoryView;
  readonly events: readonly EventLine[];
  readonly workers: number;
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
  const queues = valueIn(systemStatus.queues);
  const { redis } = systemStatus;
  return {
    at: systemStatus.at,
    level: judgement.level,
    issues: format.redacted ? judgement.issues.map(redactedIssue) : judgement.issues,
    verdict: healthSummary(shown, systemStatus, judgement, format),
    trees: trees.length > 1 || !redis.ok ? trees.map((tree) => treeTab(tree, tree === shown, format)) : null,
    othersUnknown: !redis.ok,
    machine: shown ? machineView(shown, valueIn(systemStatus.actions), format) : null,
    dependencies: dependencyViews(
      systemStatus,
      plannedConnections(judgement.trees),
      shown?.treeStatus.embedded ?? [],
      config.mail.delivery,
      format,
    ),
    queues: queues ? queueRows(queues, latencyWarningMs, format) : null,
    queuesCode: systemStatus.queues.ok ? null : codeOf(systemStatus.queues.error),
    redisCode: redis.ok ? null : (systemStatus.redisLost ?? redis.error.constructor.name),
    redisOff: redis.ok && redis.value === null,
  };
}

/** Viewers may see neither the output of a process, nor the path of a request, nor the name of an operator. */
function redactedIssue({ detail: _detail, by: _by, termination, ...issue }: Issue): Issue {
  if (termination === undefined) return issue;
  return { ...issue, termination: termination && { ...termination, message: null, activity: null } };
}

function machineView(
  { treeStatus, own, unresponsiveFor, nodes }: TreeHealth,
  actions: readonly RecentEvent[] | undefined,
  format: Formatter,
): MachineView {
  const { t } = format;
  const { id, name, place, stats, limits, rates } = treeStatus;
  const jobs = nodes.find(({ kind }) => kind === 'jobs');
  const { requestsPerS } = rates;
  const known = facts(
    t('overview.say.up', { span: format.at(treeStatus.at).up(stats.startedAt) }),
    load(treeStatus) && t('overview.machine.rate', { perS: format.rate(requestsPerS) }),
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
    line: unresponsiveFor === null ? known : t('overview.say.unheard', { span: unresponsiveFor }),
    nodes: nodes.map(cardView),
    memory: memoryView(treeStatus, nodes, format, unresponsiveFor === null),
    events: eventLines(treeStatus.events, format, EVENTS, actions),
    workers: stats.workers,
    order: limits.weighted ? t('overview.queues.weighted') : t('overview.queues.strict', { first: limits.queues[0] }),
    lastMoves: lastProgress(treeStatus),
  };
}

interface Segment {
  readonly id: string;
  /** Class in the style sheet: primary, worker, jobs, or a worker whose memory stands out from the others'. */
  readonly shade: 'p' | WorkerShade | 'j' | 'hot';
  readonly name: string;
  /** null when it is unknown or there is no process. */
  readonly mb: number | null;
  /** Start of the segment, percent of the bar. */
  readonly x: number;
  readonly width: number;
  /** The label that fits: name and size, a worker's number, or ''. */
  readonly label: string;
}

/** The memory of the tree, as one bar. */
interface MemoryView {
  readonly tone: 'ok' | 'warn';
  /** `450 of 512 MB`, or without a limit `450 MB`. */
  readonly text: string;
  /** `88 %`; '' without a limit. */
  readonly share: string;
  readonly note: string;
  readonly segments: readonly Segment[];
  /** Size at which recycling begins, percent of the bar; null without a limit. */
  readonly mark: number | null;
  readonly ticks: readonly string[];
  readonly free: { readonly mb: number; readonly x: number; readonly label: string } | null;
}

/** Minimum width of a segment, percent of the bar: for a label of name and size, and for a worker's number. */
const LABELLED = 8;
const NUMBERED = 3;
const STEP_MB = 128;

/** @param isKnown false for a tree that sends no heartbeat, whose sizes are unknown. */
export function memoryView(
  treeStatus: TreeStatus,
  nodes: readonly NodeView[],
  format: Formatter,
  isKnown = true,
): MemoryView {
  const { t } = format;
  const limit = treeStatus.stats.memory.limitMb;
  const sizes = sizesOf(treeStatus, nodes).map((size) => (isKnown ? size : { ...size, mb: null }));
  const total = sizes.reduce((sum, { mb }) => sum + (mb ?? 0), 0);
  const scale =
    limit === null ? Math.max(STEP_MB, Math.ceil((total * 1.2) / STEP_MB) * STEP_MB) : Math.max(limit, total);
  const recycle = treeStatus.limits.recycleAboveMb;
  let x = 0;
  const segments = sizes.map((size): Segment => {
    const width = round(((size.mb ?? 0) / scale) * 100);
    const segment = { x: round(x), width, label: labelOf(size, width), ...size };
    x += width;
    return segment;
  });
  const used = isKnown ? Math.round(total) : '–';
  return {
    tone: recycle !== null && total > recycle ? 'warn' : 'ok',
    text: limit === null ? `${used} MB` : t('overview.memory.of', { used, limit }),
    share: limit === null || !isKnown ? '' : `${format.percent(total / limit)} %`,
    note: noteOf(treeStatus, recycle, format),
    segments,
    mark: recycle === null ? null : round((recycle / scale) * 100),
    ticks: [0, 1, 2, 3, 4].map((quarter) => String(Math.round((scale / 4) * quarter))),
    free: limit === null || total >= limit || !isKnown ? null : freeOf(Math.round(limit - total), round(x), format),
  };
}

function labelOf({ id, name, mb }: Size, width: number): string {
  if (width >= LABELLED) return `${name} ${Math.round(mb ?? 0)}`;
  return width >= NUMBERED && id.startsWith(WORKER) ? id.slice(WORKER.length) : '';
}

function noteOf({ stats }: TreeStatus, recycle: number | null, format: Formatter): string {
  const { t } = format;
  if (recycle === null) return t('overview.memory.noLimit');
  if (stats.workers === 0) return '';
  return t('overview.memory.recycles', { percent: format.percent(recycle / (stats.memory.limitMb ?? recycle)) });
}

const WORKER = 'worker-';

type Size = Pick<Segment, 'id' | 'name' | 'shade' | 'mb'>;

function sizesOf(treeStatus: TreeStatus, nodes: readonly NodeView[]): Size[] {
  const { processMetrics, stats } = treeStatus;
  return nodes.flatMap((node): Size[] => {
    const { id, name } = node;
    if (node.kind === 'primary') return [{ id, name, shade: 'p', mb: processMetrics.pssMb ?? processMetrics.rssMb }];
    if (node.kind === 'jobs') {
      const sizes = processorsOf(stats)
        .filter(({ pid }) => pid !== null)
        .map((one) => one.pssMb ?? reported(one.lastStatus)?.rssMb);
      return [{ id, name, shade: 'j', mb: sumOf(sizes) }];
    }
    // In single mode the web server is part of the primary.
    if (id === 'web') return [];
    const index = Number(id.slice(WORKER.length));
    const sizes = stats.workerStatus
      .filter((one) => one.index === index)
      .map((one) => one.pssMb ?? reported(one.lastStatus)?.rssMb);
    return [{ id, name, shade: node.hot ? 'hot' : workerShade(index), mb: sumOf(sizes) }];
  });
}

/** Sums the sizes in one slot, which has two processes during a replacement. @returns null when none is known. */
function sumOf(sizes: readonly (number | undefined)[]): number | null {
  const known = sizes.filter((mb) => mb !== undefined);
  return known.length === 0 ? null : known.reduce((sum, size) => sum + size, 0);
}

function freeOf(mb: number, x: number, { t }: Formatter): MemoryView['free'] {
  const label = 100 - x >= LABELLED ? t('overview.memory.freeLabel', { mb }) : '';
  return { mb, x, label };
}

function round(percent: number): number {
  return Math.round(percent * 100) / 100;
}
