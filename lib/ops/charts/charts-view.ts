import type { Redis } from '../../core/redis';
import {
  ALL_TREES,
  FIGURE_RANGES,
  type FigureRange,
  type FigureStep,
  isFigureRange,
  readStepMs,
  TimeSeries,
} from '../../tree/time-series';
import type { Formatter } from '../ui/format';
import type { OpsContext } from '../ui/page-types';
import { type Chart, drawCharts } from './charts';

/** Rows of the table that accompanies the charts. */
const ROWS = 12;

interface ChartTree {
  readonly place: string;
  readonly limitMb: number | null;
}

/** The frames of the charts, what the page's script draws in them, and a table for readers without JavaScript. */
interface ChartsView {
  readonly range: FigureRange;
  readonly ranges: readonly FigureRange[];
  readonly of: 'tree' | 'all';
  readonly charts: readonly Chart[];
  /** Start of each step, s since 1970. */
  readonly at: readonly number[];
  readonly rows: readonly { readonly time: string; readonly values: readonly (number | null)[] }[];
  readonly empty: boolean;
  readonly marks: readonly ChartMark[];
}

/** A vertical line at a time. */
export interface ChartMark {
  /** s since 1970. */
  readonly at: number;
  readonly label: string;
}

/** @param tree undefined when only the sum of all trees can be shown. @throws errors of Redis. */
export async function chartsView(
  { redis, marks }: { readonly redis: Redis; readonly marks: (from: Date) => Promise<ChartMark[]> },
  ctx: Pick<OpsContext, 'query'>,
  tree: ChartTree | undefined,
  latencyWarningMs: number,
  format: Formatter,
): Promise<ChartsView> {
  const range = isFigureRange(ctx.query.range) ? ctx.query.range : '1h';
  const of = ctx.query.of === 'all' || !tree ? 'all' : 'tree';
  const history = new TimeSeries(redis.client);
  const now = format.now;
  const read = (place: string) => history.read(place, range, now.getTime());
  const ofTree = tree && (await read(tree.place));
  const steps = of === 'all' || !ofTree ? await read(ALL_TREES) : ofTree;
  const memory = tree && ofTree ? { steps: ofTree, limitMb: tree.limitMb } : null;
  const charts = drawCharts({ steps, memory, range, latencyWarningMs, now }, format);
  return {
    range,
    ranges: FIGURE_RANGES.map(({ name }) => name),
    of,
    charts,
    at: steps.map(({ at }) => at.getTime() / 1000),
    rows: chartRows(steps, charts, range),
    marks: steps[0] ? await marks(steps[0].at) : [],
    empty: steps.every(({ figures }) => figures === undefined),
  };
}

function chartRows(steps: readonly FigureStep[], charts: readonly Chart[], range: FigureRange): ChartsView['rows'] {
  const every = steps.length / ROWS;
  const last = steps.findLastIndex(({ figures }) => figures !== undefined);
  if (last === -1) return [];
  const series = charts.filter(({ stacked }) => !stacked).flatMap((chart) => chart.series);
  const totals = charts.filter(({ stacked }) => stacked);
  const indexes = Array.from({ length: ROWS }, (_, i) => last - (ROWS - 1 - i) * every).filter(
    (i) => steps[i]?.figures,
  );
  return indexes.map((i) => ({
    time: readStepMs(range) < 60_000 ? (steps[i]?.at.toISOString().slice(11, 19) ?? '') : clock(steps[i]?.at),
    values: [
      ...series.map(({ values }) => values[i] ?? null),
      ...totals.map((chart) => sum(chart.series.map(({ values }) => values[i] ?? null))),
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
export function chartData({ at, charts, marks }: ChartsView): object {
  return { at, charts, marks };
}
