import { RECYCLE_THRESHOLD } from '../../core/memory-plan';
import { BOUNDS_MS, quantile } from '../../support/histogram';
import { compareText } from '../../support/text';
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

interface LineOf {
  /** The text `charts.series.<key>`. */
  readonly key: string;
  readonly look: Series['look'];
  readonly measure: Measure;
  /** Text of a value with its unit. */
  readonly unit: 'ms' | 'perMinute' | 'perSecond';
}

const perMinute =
  (pick: (figures: Figures) => number): Measure =>
  (figures, seconds) =>
    (pick(figures) / seconds) * 60;

function percentiles(counts: (figures: Figures) => readonly number[], slowest: (figures: Figures) => number): LineOf[] {
  const line = (key: string, look: Series['look'], share: number): LineOf => {
    const measure: Measure = (figures) => quantile(BOUNDS_MS, counts(figures), share, slowest(figures));
    return { key, look, measure, unit: 'ms' };
  };
  return [line('p50', 'k1', 0.5), line('p99', 'k2', 0.99)];
}

const REQUESTS_PER_S: Measure = ({ sums }, seconds) => sums.requests / seconds;
const PER_SECOND: LineOf = { key: 'perS', look: 'k1', measure: REQUESTS_PER_S, unit: 'perSecond' };
const PER_MINUTE: LineOf = {
  key: 'perMinute',
  look: 'k1',
  measure: perMinute(({ sums }) => sums.requests),
  unit: 'perMinute',
};
const shed = perMinute(({ sums }) => sums.shed);
const failed = perMinute(({ sums }) => Math.max(0, sums.serverErrors - sums.shed));

/** The lines of each chart but those of requests, whose unit depends on their number. */
const LINES: readonly (readonly [Chart['key'], readonly LineOf[]])[] = [
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
      { key: 'http5xx', look: 'k3', measure: failed, unit: 'perMinute' },
      { key: 'http503', look: 'k5', measure: shed, unit: 'perMinute' },
    ],
  ],
  [
    'jobs',
    [
      { key: 'processed', look: 'k1', measure: perMinute(({ sums }) => sums.processed), unit: 'perMinute' },
      { key: 'failed', look: 'k3', measure: perMinute(({ sums }) => sums.failed), unit: 'perMinute' },
    ],
  ],
];

/** All charts of the overview. */
export function drawCharts(source: ChartSource, format: Formatter): Chart[] {
  const { steps, range, now, memory } = source;
  const { t } = format;
  const stepS = readStepMs(range) / 1000;
  // Seconds without a rollup so far are not idle: the rates of the last steps count only seconds that have one.
  const seconds = (at: Date) => {
    const written = Math.floor(((now.getTime() - at.getTime()) / 1000 - SOON_S) / PART_S) * PART_S;
    return Math.min(stepS, written);
  };
  const values = (measure: Measure) =>
    steps.map(({ at, figures }) => (figures && seconds(at) >= PART_S ? short(measure(figures, seconds(at))) : null));
  const units: Readonly<Record<LineOf['unit'], (value: number) => string>> = {
    ms: (value) => t('time.ms', { n: plain(value) }),
    perMinute: (value) => t('charts.perMin', { n: plain(value) }),
    perSecond: (value) => `${plain(value)}/s`,
  };
  const series = ({ key, look, measure, unit }: LineOf): Series => {
    const drawn = values(measure);
    const latest = latestValue(drawn);
    return {
      label: t(`charts.series.${key}`),
      look,
      values: drawn,
      latest: latest === null ? '–' : units[unit](latest),
    };
  };
  // Rates below one a second are shown per minute: nobody reads 0.0167/s.
  const busy = values(REQUESTS_PER_S).some((value) => (value ?? 0) >= 1);
  const requests = chart(
    'requests',
    [series(busy ? PER_SECOND : PER_MINUTE)],
    format,
    busy ? '/s' : t('charts.unit.jobs'),
  );
  const others = LINES.map(([key, lines]) => chart(key, lines.map(series), format));
  const charts = [requests, ...others, latencyChart(source, format)];
  if (memory) charts.push(memoryChart(memory.steps, memory.limitMb, RECYCLE_THRESHOLD, format));
  return charts;
}

function chart(key: Chart['key'], series: readonly Series[], { t }: Formatter, unit = t(`charts.unit.${key}`)): Chart {
  const greatest = Math.max(...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const max = roundUp(greatest);
  return {
    key,
    title: t(`charts.title.${key}`),
    unit,
    series,
    stacked: false,
    max,
    ticks: ticksUpTo(max),
    limit: null,
    late: false,
    total: null,
  };
}

/** Latency of each queue, s. The queues with the longest get a line of their own. */
function latencyChart({ steps, latencyWarningMs }: ChartSource, format: Formatter): Chart {
  const names = [...new Set(steps.flatMap(({ figures }) => Object.keys(figures?.latencies ?? {})))];
  const longest = (name: string) => Math.max(...steps.map(({ figures }) => figures?.latencies[name] ?? 0));
  const shown = names.sort((a, b) => longest(b) - longest(a) || compareText(a, b)).slice(0, QUEUES);
  const looks = ['k1', 'k2', 'k5'] as const;
  const series = shown.map((name, i): Series => {
    const values = steps.map(({ figures }) => (figures ? short((figures.latencies[name] ?? 0) / 1000) : null));
    const latest = latestValue(values);
    return {
      label: name,
      look: looks[i] ?? 'k1',
      values,
      latest: latest === null ? '–' : format.t('time.s', { n: plain(latest) }),
    };
  });
  const limit = latencyWarningMs > 0 ? latencyWarningMs / 1000 : null;
  const drawn = chart('latency', series, format);
  const late = limit !== null && series.some(({ values }) => (latestValue(values) ?? 0) > limit);
  return { ...drawn, limit: limit !== null && limit <= drawn.max ? limit : null, late };
}

function plain(value: number): string {
  return String(value >= 100 ? Math.round(value) : short(value));
}

/** Memory of each process of a tree, stacked. @param share of the limit above which workers are recycled. */
function memoryChart(steps: readonly FigureStep[], limitMb: number | null, share: number, format: Formatter): Chart {
  const { t } = format;
  const names = [...new Set(steps.flatMap(({ figures }) => Object.keys(figures?.memory ?? {})))].sort(inOrder);
  const series = names.map((name): Series => {
    const values = steps.map(({ figures }) => (figures ? short(figures.memory[name] ?? 0) : null));
    return {
      label: seriesLabel(name, format),
      look: seriesLook(name),
      values,
      latest: latestValue(values) ? format.mb(latestValue(values)) : null,
    };
  });
  const totals = steps.map(({ figures }) => figures && Object.values(figures.memory).reduce((sum, mb) => sum + mb, 0));
  const greatest = Math.max(0, ...totals.map((total) => total ?? 0));
  const max = limitMb === null ? roundUp(greatest) : Math.max(limitMb, roundUp(greatest > limitMb ? greatest : 1));
  const limit = limitMb === null ? null : limitMb * share;
  const latest = latestValue(totals.map((total) => total ?? null));
  return {
    key: 'memory',
    title: t('charts.title.memory'),
    unit: 'MB',
    series,
    stacked: true,
    max,
    ticks: ticksUpTo(max),
    limit,
    late: limit !== null && (latest ?? 0) > limit,
    total: format.mb(latest),
  };
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

/** A line, or a layer of a stack. */
export interface Series {
  readonly label: string;
  /** Class of the style sheet. */
  readonly look: 'k1' | 'k2' | 'k3' | 'k5' | 'p' | WorkerShade | 'j';
  /** null for steps without a known value. */
  readonly values: readonly (number | null)[];
  /** The latest known value with its unit; null: the process is gone and has no entry in the legend. */
  readonly latest: string | null;
}

/** A horizontal grid line and its label. */
interface Tick {
  readonly value: number;
  readonly text: string;
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
  /** Upper end of the scale, which starts at 0, and its grid lines. */
  readonly max: number;
  readonly ticks: readonly Tick[];
  /** A line drawn at a value that should not be exceeded; null for none. */
  readonly limit: number | null;
  readonly late: boolean;
  /** Text for the whole stack, in place of the values of its series. */
  readonly total: string | null;
}

/** Labels have room for four characters: thousands are written as `k`. */
function ticksUpTo(max: number): Tick[] {
  return [0, max / 2, max].map((value) => ({ value, text: value < 10_000 ? String(value) : `${value / 1000}k` }));
}

/** The smallest round number that is not below the value; half of it is round as well, for the middle grid line. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 4, 6, 8, 10].find((each) => each * power >= value) ?? 10;
  return step * power;
}

/** Rounds to three digits: more can be neither drawn nor read. */
function short(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(3));
}

function latestValue(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}
