import { processorsOf, type TreeStatus, type WorkInFlight } from '../../cluster/status';
import { UserError } from '../../core/errors';
import type { RecentEvent } from '../../core/events';
import { judge } from '../../health/judge';
import { type SystemStatus, valueIn } from '../../health/status-collector';
import { snakeCase } from '../../support/snake-case';
import { TreeDirectory } from '../../tree/tree-directory';
import { assertOperator } from '../auth/access';
import { chosenTree, eventLines, hrefOf, replacementReason } from '../overview/health-summary';
import { machineShape, patch } from '../overview/live-update';
import type { ProcessFlash, TreeAction } from '../overview/process-cards';
import { type CardView, cardView, known, load } from '../overview/process-cards';
import { assessTrees, missingTree, type TreeHealth } from '../overview/tree-health';
import type { OpsContext, PageContext, PageModule } from '../ui/context';
import { FlashStore } from '../ui/flash';
import { Formatter, jobPath } from '../ui/format';
import { linkWith, localizedProblem } from '../ui/shell';

const LIST = '/ops/processes';
/** Number of events on the page. */
const EVENTS = 60;

/** The page of a tree's processes, and the commands that an operator can send to them. */
export const processRoutes: PageModule = async (site) => {
  const { router } = site;
  const statusCollector = await site.statusCollector();
  const flashes = new FlashStore<ProcessFlash>(site);
  const find = async (ctx: OpsContext): Promise<TreeHealth> =>
    findIn(ctx, await statusCollector.collect({ trees: 'now' }));
  const findIn = (ctx: OpsContext, systemStatus: SystemStatus): TreeHealth => {
    const chosen = chosenTree(ctx);
    const judgement = judge(systemStatus, chosen, site.config.jobs.latencyWarningMs);
    const trees = assessTrees(judgement, systemStatus, Formatter.of(ctx));
    const tree = trees.find(({ own, treeStatus }) => (chosen === null ? own : treeStatus.id === chosen));
    if (!tree) throw chosen === null ? localizedProblem(503, 'noPrimary') : missingTree(systemStatus);
    return tree;
  };

  router.get(LIST, async (ctx) => {
    const systemStatus = await statusCollector.collect();
    const flash = await flashes.flash(ctx);
    await showProcesses(site, ctx, {
      tree: findIn(ctx, systemStatus),
      jobActions: valueIn(systemStatus.actions),
      flash,
    });
  });

  for (const action of TREE_ACTIONS) {
    const path = `${LIST}/${action.key}`;
    router.get(path, async (ctx) => {
      assertOperator(ctx);
      await confirm(site, ctx, action, await find(ctx));
    });
    router.post(path, async (ctx) => {
      const tree = await find(ctx);
      const slot = slotOf(ctx, action);
      if (!action.isAvailable(tree.treeStatus, slot)) throw localizedProblem(409, 'actionGone');
      const flash = { what: action.key, name: tree.treeStatus.name, slot };
      const order = async () => {
        await sendCommand(site, ctx, action, tree, slot);
        return flash;
      };
      try {
        const id = await flashes.once(ctx, order, !site.redis.client.isReady);
        ctx.status = 303;
        ctx.redirect(linkWith('/ops', '', { tree: tree.own ? null : tree.treeStatus.id, flash: id ?? null }));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        ctx.status = 409;
        await confirm(site, ctx, action, tree, error.message);
      }
    });
  }
};

/**
 * Sends the command: to this process's own tree directly, to another tree through Redis.
 * @throws UserError when its own tree refuses.
 */
async function sendCommand(
  site: PageContext,
  ctx: OpsContext,
  { command }: TreeAction,
  tree: TreeHealth,
  slot: number,
): Promise<void> {
  const by = `pages:${ctx.ip}` as const;
  if (tree.own) return site.tree.runCommand(command, slot, by);
  const left = await new TreeDirectory(site.redis.client).send(tree.treeStatus.id, command, slot, by);
  if (!left) throw localizedProblem(404, 'treeGone');
}

interface Shown {
  readonly tree: TreeHealth;
  readonly jobActions: readonly RecentEvent[] | undefined;
  readonly flash: ProcessFlash | undefined;
}

async function showProcesses(site: PageContext, ctx: OpsContext, { tree, jobActions, flash }: Shown): Promise<void> {
  const { treeStatus, own, unresponsiveFor } = tree;
  const format = Formatter.of(ctx);
  const rows = processRows(tree, format);
  // Already redacted for viewers, so that the JSON shows no more than the page does.
  const events = eventLines(treeStatus.events, format, EVENTS, jobActions);
  const id = own ? null : treeStatus.id;
  await site.pages.show(
    ctx,
    'processes/processes',
    {
      title: ctx.state.t('processes.title', { name: treeStatus.name }),
      live: hrefOf('/ops/events', id),
      scripts: ['overview.js'],
      patch,
      treeStatus,
      unresponsiveFor,
      rows,
      flash,
      fingerprint: machineShape(treeStatus, tree.nodes),
      events,
      actions:
        ctx.state.visitor.role === 'operator' && unresponsiveFor === null
          ? TREE_ACTIONS.filter((action) => !action.slot && action.isAvailable(treeStatus, 0))
          : [],
      operator: ctx.state.visitor.role === 'operator' && unresponsiveFor === null,
      to: (path: string, more: Readonly<Record<string, string>> = {}) => linkWith(path, '', { tree: id, ...more }),
    },
    {
      id: treeStatus.id,
      name: treeStatus.name,
      app: treeStatus.app,
      host: treeStatus.host,
      address: treeStatus.address,
      versions: treeStatus.stats.versions,
      unresponsive: unresponsiveFor !== null,
      processes: snakeCase(rows),
      events: snakeCase(events),
    },
  );
}

async function confirm(
  site: PageContext,
  ctx: OpsContext,
  action: TreeAction,
  tree: TreeHealth,
  refused?: string,
): Promise<void> {
  const { treeStatus, own, unresponsiveFor } = tree;
  if (unresponsiveFor !== null) throw localizedProblem(409, 'treeUnresponsive');
  const slot = slotOf(ctx, action);
  if (!action.isAvailable(treeStatus, slot) && refused === undefined) throw localizedProblem(409, 'actionGone');
  const values = valuesOf(treeStatus, slot);
  const { t } = ctx.state;
  await site.pages.show(ctx, 'processes/confirm', {
    title: t(`processes.actions.${action.key}.question`, values),
    action,
    values,
    touched: touchedBy(action, treeStatus, slot),
    refused,
    target: ctx.url,
    back: hrefOf('/ops', own ? null : treeStatus.id),
  });
}

function slotOf({ query }: OpsContext, { slot }: TreeAction): number {
  if (!slot) return 0;
  if (typeof query.slot === 'string' && /^\d{1,3}$/.test(query.slot)) return Number(query.slot);
  throw localizedProblem(404, 'missing');
}

/** A process of the tree, as a row of the table. */
export interface ProcessRow {
  readonly card: CardView;
  readonly slot: number | null;
  readonly pid: number | null;
  readonly up: string;
  readonly generation: number | null;
  /** Requests served since its start; null for processes that serve none. */
  readonly requests: number | null;
  /** For example `1 crash, 2 phase`, or `0`. */
  readonly restarts: string;
  readonly work: readonly WorkRow[];
}

/** A request or a job in flight. */
export interface WorkRow {
  readonly what: string;
  /** For example `Request a5ec…`. */
  readonly id: string;
  /** Path of the job's page; null for a request. */
  readonly href: string | null;
  readonly age: string;
}

/** @param format in the reader's language, redacted for viewers. */
export function processRows({ treeStatus, nodes }: TreeHealth, format: Formatter): ProcessRow[] {
  const then = format.at(treeStatus.at);
  return nodes.map((node) => {
    const row = { card: cardView(node), slot: null, generation: null, requests: null, restarts: '0', work: [] };
    if (node.kind === 'primary') return { ...row, pid: treeStatus.stats.pid, up: then.up(treeStatus.stats.startedAt) };
    if (node.kind === 'jobs') return jobsRow(row, treeStatus, then);
    return workerRow(row, node.id, treeStatus, then);
  });
}

type Row = Omit<ProcessRow, 'pid' | 'up'>;

function jobsRow(row: Row, { stats }: TreeStatus, format: Formatter): ProcessRow {
  const { pid, startedAt, restarts } = stats.jobProcessor;
  const inHand = processorsOf(stats).flatMap((one) =>
    one.pid === null ? [] : (known(one.lastStatus)?.inFlight ?? []),
  );
  const work = workRows(inHand, format, false);
  return { ...row, pid, up: format.up(pid === null ? null : startedAt), restarts: String(restarts), work };
}

function workerRow(row: Row, id: string, { stats }: TreeStatus, format: Formatter): ProcessRow {
  if (stats.single && id === 'web') {
    const { requestsCount: requests, inFlight } = stats.single;
    return { ...row, pid: stats.pid, up: format.up(stats.startedAt), requests, work: workRows(inFlight, format, true) };
  }
  const slot = Number(id.slice('worker-'.length));
  const here = stats.workerStatus.filter(({ index }) => index === slot);
  const shown = here.find(({ state }) => state === 'ready') ?? here[0];
  const status = shown && known(shown.lastStatus);
  const reasons = Object.entries(shown?.restarts ?? {}).map(([reason, count]) => {
    return format.t('processes.restarts', { n: count, why: replacementReason(reason, format.t) });
  });
  return {
    ...row,
    slot,
    pid: shown?.pid ?? null,
    up: format.up(shown?.startedAt ?? null),
    generation: shown?.phase ?? null,
    requests: status?.requestsCount ?? null,
    restarts: reasons.join(', ') || '0',
    work: here.flatMap((one) => workRows(known(one.lastStatus)?.inFlight ?? [], format, true)),
  };
}

/** @param http true for requests: their paths may name people, and are hidden from viewers. */
function workRows(work: readonly WorkInFlight[], format: Formatter, http: boolean): WorkRow[] {
  return work.map(({ what, job, id, ageMs }) => ({
    what: http && format.redacted ? (what.split(' ')[0] ?? '') : format.work({ what, job }),
    id: format.t(http ? 'work.requestId' : 'work.jobId', { id }),
    href: job ? jobPath({ id, queue: job.queue }) : null,
    age: format.span(ageMs),
  }));
}

const hasWorkers = ({ stats }: TreeStatus) => stats.workers > 0;
const runsJobs = ({ limits }: TreeStatus) => limits.jobConcurrency > 0;
const isOpen = ({ stats }: TreeStatus) => !['quiet', 'stopped', 'stopping'].includes(stats.jobProcessor.state);

export const TREE_ACTIONS: readonly TreeAction[] = [
  {
    key: 'restart',
    command: 'phased-restart',
    danger: true,
    isAvailable: (treeStatus) => hasWorkers(treeStatus) && !treeStatus.phasedRestart,
  },
  {
    key: 'recycle',
    command: 'recycle',
    slot: true,
    danger: true,
    isAvailable: ({ slots }, slot) => slots.some(({ index }) => index === slot),
  },
  { key: 'add', command: 'worker-count-up', isAvailable: hasWorkers },
  { key: 'remove', command: 'worker-count-down', danger: true, isAvailable: ({ stats }) => stats.workers > 1 },
  {
    key: 'quiet',
    command: 'jobs quiet',
    danger: true,
    isAvailable: (treeStatus) => runsJobs(treeStatus) && isOpen(treeStatus),
  },
  { key: 'resume', command: 'jobs resume', isAvailable: (treeStatus) => runsJobs(treeStatus) && !isOpen(treeStatus) },
];

/** A process that an action affects, with its work. */
export interface Touched {
  readonly slot: number | null;
  readonly inFlight: number;
  readonly waiting: number;
}

/** Lists the processes that an action affects, for its confirmation page. */
export function touchedBy({ key }: TreeAction, treeStatus: TreeStatus, slot: number): Touched[] {
  const { stats, slots } = treeStatus;
  if (key === 'quiet' || key === 'resume') {
    const running = processorsOf(stats).flatMap(({ lastStatus }) => lastStatus.inFlight ?? []);
    return [{ slot: null, inFlight: running.length, waiting: 0 }];
  }
  if (key === 'add') return [];
  const last = slots.at(-1)?.index;
  const chosen = slots.filter(({ index }) => key === 'restart' || index === (key === 'recycle' ? slot : last));
  return chosen.map(({ index }) => {
    const here = stats.workerStatus.filter((worker) => worker.index === index);
    const sum = (name: 'busyThreads' | 'backlog') =>
      here.reduce((total, one) => total + (one.lastStatus[name] ?? 0), 0);
    return { slot: index, inFlight: sum('busyThreads'), waiting: sum('backlog') };
  });
}

/** Values for the texts of an action. */
export function valuesOf(treeStatus: TreeStatus, slot: number): Record<string, unknown> {
  const { name, stats, limits } = treeStatus;
  return {
    name,
    slot,
    count: stats.workers,
    next: stats.workers + 1,
    others: stats.workers - 1,
    last: stats.workers - 1,
    drainS: Math.round(limits.drainMs / 1000),
    of: load(treeStatus)?.of,
    threads: limits.maxThreads,
  };
}
