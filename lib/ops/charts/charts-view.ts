import type { Redis } from '../../core/redis';
import {
  ALL_TREES,
  FIGURE_RANGES,
  type FigureRange,
  type FigureStep,
  isFigureRange,
  stepMsOf,
  TimeSeries,
} from '../../tree/time-series';
import type { OpsContext } from '../ui/context';
import type { Formatter } from '../ui/format';
import { chartsOf, type Plot, type Series } from './charts';

/** Rows of the table that accompanies the plots. */
const ROWS = 12;

interface PlotTree {
  readonly place: string;
  readonly limitMb: number | null;
}

/** The plots in the shape that the page's template needs. */
interface PlotsView {
  readonly range: FigureRange;
  readonly ranges: readonly FigureRange[];
  readonly of: 'tree' | 'all';
  readonly plots: readonly (Plot & { readonly drawing: Drawing })[];
  /** Start of each step, s since 1970. */
  readonly at: readonly number[];
  /** Labels of the time axis: start, middle and end. */
  readonly times: readonly string[];
  readonly rows: readonly { readonly time: string; readonly values: readonly (number | null)[] }[];
  readonly empty: boolean;
}

/** @param tree undefined when only the sum of all trees can be shown. @throws errors of Redis. */
export async function plotsView(
  redis: Redis,
  ctx: Pick<OpsContext, 'query'>,
  tree: PlotTree | undefined,
  latencyWarningMs: number,
  format: Formatter,
): Promise<PlotsView> {
  const range = isFigureRange(ctx.query.range) ? ctx.query.range : '1h';
  const of = ctx.query.of === 'all' || !tree ? 'all' : 'tree';
  const history = new TimeSeries(redis.client);
  const now = format.now;
  const read = (place: string) => history.read(place, range, now.getTime());
  const ofTree = tree && (await read(tree.place));
  const steps = of === 'all' || !ofTree ? await read(ALL_TREES) : ofTree;
  const memory = tree && ofTree ? { steps: ofTree, limitMb: tree.limitMb } : null;
  const plots = chartsOf({ steps, memory, range, latencyWarningMs, now }, format);
  return {
    range,
    ranges: FIGURE_RANGES.map(({ name }) => name),
    of,
    plots: plots.map((plot) => ({ ...plot, drawing: drawingOf(plot) })),
    at: steps.map(({ at }) => at.getTime() / 1000),
    times: [0, Math.floor(steps.length / 2), steps.length - 1].map((i) => clock(steps[i]?.at)),
    rows: rowsOf(steps, plots, range),
    empty: steps.every(({ figures }) => figures === undefined),
  };
}

function rowsOf(steps: readonly FigureStep[], plots: readonly Plot[], range: FigureRange): PlotsView['rows'] {
  const every = steps.length / ROWS;
  const last = steps.findLastIndex(({ figures }) => figures !== undefined);
  if (last === -1) return [];
  const series = plots.filter(({ stacked }) => !stacked).flatMap((plot) => plot.series);
  const totals = plots.filter(({ stacked }) => stacked);
  const indexes = Array.from({ length: ROWS }, (_, i) => last - (ROWS - 1 - i) * every).filter(
    (i) => steps[i]?.figures,
  );
  return indexes.map((i) => ({
    time: stepMsOf(range) < 60_000 ? (steps[i]?.at.toISOString().slice(11, 19) ?? '') : clock(steps[i]?.at),
    values: [
      ...series.map(({ values }) => values[i] ?? null),
      ...totals.map((plot) => sum(plot.series.map(({ values }) => values[i] ?? null))),
    ],
  }));
}

function sum(values: readonly (number | null)[]): number | null {
  return values.some((value) => value !== null)
    ? Math.round(values.reduce<number>((total, value) => total + (value ?? 0), 0))
    : null;
}

function clock(at: Date | undefined): string {
  return at?.toISOString().slice(11, 16) ?? '';
}

/** Data for the page's script. */
export function plotData({ at, plots }: PlotsView): object {
  return {
    at,
    plots: plots.map(({ key, series, stacked, max, ticks, limit, total, drawing }) => ({
      key,
      stacked,
      max,
      ticks,
      limit,
      total,
      labels: drawing.labels,
      series: series.map(({ label, look, values, latest }) => ({ label, look, values, latest })),
    })),
  };
}

/** A plot drawn by the server, in a box of 100 by 100 with 0 at the bottom. */
interface Drawing {
  /** In painting order. */
  readonly paths: readonly { readonly className: string; readonly d: string }[];
  readonly limitY: number | null;
  /** Names of layers, each placed to the left of the layer's last known point. */
  readonly labels: readonly { readonly x: number; readonly y: number; readonly text: string }[];
}

/** Minimum thickness of a layer that has room for its name, percent of the plot. */
const NAMED = 12;

export function drawingOf({ series, stacked, max, limit }: Plot): Drawing {
  const limitY = limit === null ? null : round(100 - (limit / max) * 100);
  if (stacked) {
    const sums = cumulate(series);
    // Painted from the top down: each layer covers the ones above it down to the bottom.
    const paths = sums.map((values, i) => ({ className: `layer ${series[i]?.look}`, d: area(values, max) })).reverse();
    return { paths, limitY, labels: labelsOf(series, max) };
  }
  const areas = series.slice(0, 1).map(({ look, values }) => ({ className: `ar ${look}`, d: area(values, max) }));
  const lines = series.map(({ look, values }) => ({ className: `ln ${look}`, d: line(values, max) }));
  return { paths: [...areas, ...lines], limitY, labels: [] };
}

function labelsOf(series: readonly Series[], max: number): Drawing['labels'] {
  const last = Math.max(-1, ...series.map(({ values }) => values.findLastIndex((value) => value !== null)));
  let below = 0;
  return series.flatMap(({ label, values }) => {
    const value = values[last] ?? 0;
    const middle = below + value / 2;
    below += value;
    if ((value / max) * 100 < NAMED) return [];
    return [{ x: round((last / (values.length - 1)) * 100), y: round(100 - (middle / max) * 100), text: label }];
  });
}

/** Each series added to those below it. */
function cumulate(series: readonly Series[]): (number | null)[][] {
  let below: readonly (number | null)[] = [];
  return series.map(({ values }) => {
    const sum = values.map((value, i) => (value === null ? null : value + (below[i] ?? 0)));
    below = sum;
    return sum;
  });
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Splits the values at gaps. */
function stretches(values: readonly (number | null)[], max: number): Point[][] {
  const found: Point[][] = [];
  let current: Point[] | undefined;
  for (const [i, value] of values.entries()) {
    if (value === null) {
      current = undefined;
      continue;
    }
    if (!current) {
      current = [];
      found.push(current);
    }
    current.push({ x: round((i / (values.length - 1)) * 100), y: round(100 - (Math.min(value, max) / max) * 100) });
  }
  return found;
}

function line(values: readonly (number | null)[], max: number): string {
  // A single point would be invisible: it is drawn as a short dash.
  return stretches(values, max)
    .map((points) => `M${points.map(({ x, y }) => `${x} ${y}`).join('L')}${points.length === 1 ? 'h.5' : ''}`)
    .join('');
}

function area(values: readonly (number | null)[], max: number): string {
  return stretches(values, max)
    .map((points) => `M${points[0]?.x} 100L${points.map(({ x, y }) => `${x} ${y}`).join('L')}L${points.at(-1)?.x} 100Z`)
    .join('');
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
