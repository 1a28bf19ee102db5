import { processorsOf, reported, type TreeStatus } from '../../cluster/status';
import { type Formatter, type WorkerShade, workerShade } from '../ui/format';
import type { NodeView } from './process-cards';

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
export interface MemoryView {
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
  const sizes = nodeSizes(treeStatus, nodes).map((size) => (isKnown ? size : { ...size, mb: null }));
  const total = sizes.reduce((sum, { mb }) => sum + (mb ?? 0), 0);
  const scale =
    limit === null ? Math.max(STEP_MB, Math.ceil((total * 1.2) / STEP_MB) * STEP_MB) : Math.max(limit, total);
  const recycle = treeStatus.limits.recycleAboveMb;
  let x = 0;
  const segments = sizes.map((size): Segment => {
    const width = round(((size.mb ?? 0) / scale) * 100);
    const segment = { x: round(x), width, label: fittingLabel(size, width), ...size };
    x += width;
    return segment;
  });
  const used = isKnown ? Math.round(total) : '–';
  return {
    tone: recycle !== null && total > recycle ? 'warn' : 'ok',
    text: limit === null ? `${used} MB` : t('overview.memory.of', { used, limit }),
    share: limit === null || !isKnown ? '' : `${format.percent(total / limit)} %`,
    note: recycleNote(treeStatus, recycle, format),
    segments,
    mark: recycle === null ? null : round((recycle / scale) * 100),
    ticks: [0, 1, 2, 3, 4].map((quarter) => String(Math.round((scale / 4) * quarter))),
    free:
      limit === null || total >= limit || !isKnown ? null : freeSegment(Math.round(limit - total), round(x), format),
  };
}

function fittingLabel({ id, name, mb }: Size, width: number): string {
  if (width >= LABELLED) return `${name} ${Math.round(mb ?? 0)}`;
  return width >= NUMBERED && id.startsWith(WORKER) ? id.slice(WORKER.length) : '';
}

function recycleNote({ stats }: TreeStatus, recycle: number | null, format: Formatter): string {
  const { t } = format;
  if (recycle === null) return t('overview.memory.noLimit');
  if (stats.workers === 0) return '';
  return t('overview.memory.recycles', { percent: format.percent(recycle / (stats.memory.limitMb ?? recycle)) });
}

const WORKER = 'worker-';

type Size = Pick<Segment, 'id' | 'name' | 'shade' | 'mb'>;

function nodeSizes(treeStatus: TreeStatus, nodes: readonly NodeView[]): Size[] {
  const { processMetrics, stats } = treeStatus;
  return nodes.flatMap((node): Size[] => {
    const { id, name } = node;
    if (node.kind === 'primary') return [{ id, name, shade: 'p', mb: processMetrics.pssMb ?? processMetrics.rssMb }];
    if (node.kind === 'jobs') {
      const sizes = processorsOf(stats)
        .filter(({ pid }) => pid !== null)
        .map((one) => one.pssMb ?? reported(one.lastStatus)?.rssMb);
      return [{ id, name, shade: 'j', mb: sumKnown(sizes) }];
    }
    const index = Number(id.slice(WORKER.length));
    const sizes = stats.workerStatus
      .filter((one) => one.index === index)
      .map((one) => one.pssMb ?? reported(one.lastStatus)?.rssMb);
    return [{ id, name, shade: node.hot ? 'hot' : workerShade(index), mb: sumKnown(sizes) }];
  });
}

/** Sums the sizes in one slot, which has two processes during a replacement. @returns null when none is known. */
function sumKnown(sizes: readonly (number | undefined)[]): number | null {
  const measured = sizes.filter((mb) => mb !== undefined);
  return measured.length === 0 ? null : measured.reduce((sum, size) => sum + size, 0);
}

function freeSegment(mb: number, x: number, { t }: Formatter): MemoryView['free'] {
  const label = 100 - x >= LABELLED ? t('overview.memory.freeLabel', { mb }) : '';
  return { mb, x, label };
}

function round(percent: number): number {
  return Math.round(percent * 100) / 100;
}
