import { RECYCLE_THRESHOLD } from '../../core/memory-plan';
import { BOUNDS_MS, quantile } from '../../support/histogram';
import { compareText } from '../../support/text-order';
import { type FigureRange, type FigureStep, readStepMs } from '../../tree/time-series';
import { type Formatter, type WorkerShade, workerShade } from '../ui/format';

/** Rollups cover this many seconds, and are written at most SOON_S seconds after their end. */
const PART_S = 10;
const SOON_S = 5;
/** Number of queues with a line of their own. */
const QUEUES = 3;

interface ChartSource {
  /** Steps of the tree, or of all trees together. */
  readonly steps: readonly FigureStep[];
  /** Steps of the tree; null when no tree is shown. */
  readonly memory: { readonly steps: readonly FigureStep[]; readonly limitMb: number | null } | null;
  readonly range: FigureRange;
  readonly latencyWarningMs: number;
  readonly now: Date;
}

type Figures = NonNullable<FigureStep['figures']>;

/** How a line is computed from the figures of a step that covers some seconds; null where it is unknown. */
type Measure = (figures: Figures, seconds: number) => number | null;

/** A line whose text is `charts.series.<key>`. */
type LineOf = readonly [key: string, look: Series['look'], measure: Measure];

const perMinute =
  (pick: (figures: Figures) => number): Measure =>
  (figures, seconds) =>
    (pick(figures) / seconds) * 60;

function percentiles(counts: (figures: Figures) => readonly number[], slowest: (figures: Figures) => number): LineOf[] {
  const measure =
    (share: number): Measure =>
    (figures) =>
      quantile(BOUNDS_MS, counts(figures), share, slowest(figures));
  return [
    ['p50', 'k1', measure(0.5)],
    ['p99', 'k2', measure(0.99)],
  ];
}

const LINES: readonly (readonly [Chart['key'], readonly LineOf[]])[] = [
  ['requests', [['perMinute', 'k1', perMinute(({ sums }) => sums.requests)]]],
  [
    'response',
    percentiles(
      ({ duration }) => duration,
      ({ slowest }) => slowest.durationMs,
    ),
  ],
  [
    'queueTime',
    percentiles(
      ({ queued }) => queued,
      ({ slowest }) => slowest.queuedMs,
    ),
  ],
  [
    'errors',
    [
      ['http5xx', 'k3', perMinute(({ sums }) => Math.max(0, sums.serverErrors - sums.shed))],
      ['http503', 'k5', perMinute(({ sums }) => sums.shed)],
    ],
  ],
  [
    'jobs',
    [
      ['processed', 'k1', perMinute(({ sums }) => sums.processed)],
      ['failed', 'k3', perMinute(({ sums }) => sums.failed)],
    ],
  ],
];

export function drawCharts(source: ChartSource, format: Formatter): Chart[] {
  const { steps, range, now, memory } = source;
  const stepS = readStepMs(range) / 1000;
  // Seconds without a rollup so far are not idle: the rates of the last steps count only seconds that have one.
  const seconds = (at: Date) => {
    const written = Math.floor(((now.getTime() - at.getTime()) / 1000 - SOON_S) / PART_S) * PART_S;
    return Math.min(stepS, written);
  };
  const line = ([key, look, measure]: LineOf) => {
    const values = steps.map(({ at, figures }) =>
      figures && seconds(at) >= PART_S ? measure(figures, seconds(at)) : null,
    );
    return series(format.t(`charts.series.${key}`), look, values);
  };
  const charts = LINES.map(([key, lines]) => chart(key, lines.map(line), format));
  charts.push(latencyChart(source, format));
  if (memory) charts.push(memoryChart(memory.steps, memory.limitMb, format));
  return charts;
}

/** Rounds to three digits: more can be neither drawn nor read. */
function series(label: string, look: Series['look'], values: readonly (number | null)[]): Series {
  const rounded = values.map((value) => (value === null ? null : Number(value.toPrecision(3))));
  return { label, look, values: rounded, latest: rounded.findLast((value) => value !== null) ?? null };
}

function chart(key: Chart['key'], all: readonly Series[], { t }: Formatter): Chart {
  const [title, unit] = [t(`charts.title.${key}`), t(`charts.unit.${key}`)];
  return { key, title, unit, series: all, stacked: false, max: null, limit: null };
}

/** Latency of each queue, s. The queues with the longest get a line of their own. */
function latencyChart({ steps, latencyWarningMs }: ChartSource, format: Formatter): Chart {
  const names = [...new Set(steps.flatMap(({ figures }) => Object.keys(figures?.latencies ?? {})))];
  const longest = (name: string) => Math.max(...steps.map(({ figures }) => figures?.latencies[name] ?? 0));
  const shown = names.sort((a, b) => longest(b) - longest(a) || compareText(a, b)).slice(0, QUEUES);
  const looks = ['k1', 'k2', 'k5'] as const;
  const drawn = shown.map((name, i) =>
    series(
      name,
      looks[i] ?? 'k1',
      steps.map(({ figures }) => (figures ? (figures.latencies[name] ?? 0) / 1000 : null)),
    ),
  );
  return { ...chart('latency', drawn, format), limit: latencyWarningMs > 0 ? latencyWarningMs / 1000 : null };
}

/** Memory of each process of a tree, stacked, and the size above which workers are recycled. */
function memoryChart(steps: readonly FigureStep[], limitMb: number | null, format: Formatter): Chart {
  const names = [...new Set(steps.flatMap(({ figures }) => Object.keys(figures?.memory ?? {})))].sort(inOrder);
  const layers = names.map((name) =>
    series(
      seriesLabel(name, format),
      seriesLook(name),
      steps.map(({ figures }) => (figures ? (figures.memory[name] ?? 0) : null)),
    ),
  );
  const limit = limitMb === null ? null : limitMb * RECYCLE_THRESHOLD;
  return { ...chart('memory', layers, format), stacked: true, max: limitMb, limit };
}

/** Order of the layers from the bottom: the primary, the workers by slot, the job processor. */
function inOrder(a: string, b: string): number {
  return rank(a) - rank(b);
}

function rank(name: string): number {
  if (name === 'primary') return -1;
  return name === 'jobs' ? Number.MAX_SAFE_INTEGER : slotNumber(name);
}

function slotNumber(name: string): number {
  return Number(name.slice('worker '.length)) || 0;
}

function seriesLook(name: string): Series['look'] {
  if (name === 'primary') return 'p';
  if (name === 'jobs') return 'j';
  return workerShade(slotNumber(name));
}

function seriesLabel(name: string, { t }: Formatter): string {
  if (name === 'primary' || name === 'jobs') return t(`overview.name.${name}`);
  return t('overview.name.worker', { slot: slotNumber(name) });
}

export interface Series {
  readonly label: string;
  /** Class of the style sheet. */
  readonly look: 'k1' | 'k2' | 'k3' | 'k5' | 'p' | WorkerShade | 'j';
  /** null for steps without a known value. */
  readonly values: readonly (number | null)[];
  readonly latest: number | null;
}

/** Series that share one time axis and one unit. */
export interface Chart {
  readonly key: 'requests' | 'response' | 'queueTime' | 'errors' | 'jobs' | 'latency' | 'memory';
  readonly title: string;
  /** Unit of the axis and of all values. */
  readonly unit: string;
  readonly series: readonly Series[];
  /** True for layers on top of each other, the first at the bottom. */
  readonly stacked: boolean;
  /** The scale starts at 0 and ends here, or at a greater value; null: at the greatest one. */
  readonly max: number | null;
  /** A line drawn at a value that should not be exceeded; null for none. */
  readonly limit: number | null;
}
