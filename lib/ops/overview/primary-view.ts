import type { TreePicture } from '../../cluster/tree-picture';
import { readyWorkers } from '../../verdict/worker-state';
import { barPercent, known, lagFigure, type NodeView } from './node-view';
import { facts, type Words } from './words';

/** The primary's card; where it serves the web itself, with its load. */
export function primaryView(picture: TreePicture, words: Words): NodeView {
  const { stats, vitals } = picture;
  const mb = vitals.pssMb ?? vitals.rssMb;
  const { stopping } = picture;
  return {
    id: 'primary',
    kind: 'primary',
    tone: stopping ? 'warn' : 'ok',
    line: 'solid',
    icon: stopping ? 'drain' : 'ok',
    name: words.t('overview.name.primary'),
    phase: stopping ? words.t('overview.phase.stopping') : '',
    on: null,
    of: 0,
    waiting: { text: '', tone: null },
    lag: lagFigure(vitals.lagP99Ms),
    memory: { text: words.mb(mb), tone: null },
    barPercent: barPercent(mb),
    hot: false,
    say: facts(
      words.t('overview.say.up', { span: words.up(stats.started_at) }),
      `pid ${stats.pid}`,
      whereOf(picture, words),
      stats.workers > 0 && words.t('overview.say.sends', { ready: readyWorkers(picture), count: stats.workers }),
    ),
  };
}

/** In single mode: the web, as a card of its own below the primary. */
export function singleView(picture: TreePicture, words: Words): NodeView | undefined {
  const { single } = picture.stats;
  if (!single) return undefined;
  return {
    id: 'web',
    kind: 'worker',
    tone: 'ok',
    line: 'solid',
    icon: 'ok',
    name: words.t('overview.name.web'),
    phase: words.t('overview.phase.ready'),
    on: single.busy_threads,
    of: single.max_threads,
    waiting: { text: String(single.backlog), tone: single.backlog > 0 ? 'warn' : null },
    lag: lagFigure(single.lagP99Ms),
    memory: { text: '–', tone: null },
    barPercent: 0,
    hot: false,
    say: words.t('overview.say.single'),
  };
}

/** Requests in flight, of so many at once, and those that wait; undefined where this tree serves no web. */
export function load({ stats, limits }: TreePicture): { inFlight: number; of: number; waiting: number } | undefined {
  const told = stats.single ? [stats.single] : stats.worker_status.flatMap((one) => known(one.last_status) ?? []);
  const workers = stats.single ? 1 : stats.workers;
  if (workers === 0) return undefined;
  const sum = (pick: (status: (typeof told)[number]) => number) => told.reduce((total, one) => total + pick(one), 0);
  return {
    inFlight: sum((one) => one.busy_threads),
    of: workers * limits.maxThreads,
    waiting: sum((one) => one.backlog),
  };
}

function whereOf({ address }: TreePicture, { t }: Words): string | null {
  if (address === null) return null;
  if (!URL.canParse(address)) return address;
  const { port } = new URL(address);
  return port === '' ? address : t('overview.say.port', { port });
}
