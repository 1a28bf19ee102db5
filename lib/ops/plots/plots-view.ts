import type { Redis } from '../../core/redis';
import { FigureHistory, type FigureStep } from '../../tree/figure-history';
import { FIGURE_RANGES, type FigureRange, isFigureRange, stepMsOf } from '../../tree/figure-ranges';
import { ALL_TREES } from '../../tree/figure-script';
import type { OpsContext } from '../context';
import type { Words } from '../overview/words';
import { type Drawing, drawingOf } from './drawing';
import type { Plot } from './plot';
import { plotsOf } from './plots';

/** Rows of the table. */
const ROWS = 12;

export interface PlotTree {
  readonly place: string;
  readonly limitMb: number | null;
}

/** The plots, as a page shows them. */
export interface PlotsView {
  readonly range: FigureRange;
  readonly ranges: readonly FigureRange[];
  readonly of: 'tree' | 'all';
  readonly plots: readonly (Plot & { readonly drawing: Drawing })[];
  /** When each step begins, s since 1970. */
  readonly at: readonly number[];
  /** Beside the axis: at the beginning, in the middle, at the end. */
  readonly times: readonly string[];
  readonly rows: readonly { readonly time: string; readonly values: readonly (number | null)[] }[];
  readonly empty: boolean;
}

/** @param tree undefined: only what is of all trees can be shown. @throws when Redis does not answer. */
export async function plotsView(
  redis: Redis,
  ctx: Pick<OpsContext, 'query'>,
  tree: PlotTree | undefined,
  latencyWarningMs: number,
  words: Words,
): Promise<PlotsView> {
  const range = isFigureRange(ctx.query.range) ? ctx.query.range : '1h';
  const of = ctx.query.of === 'all' || !tree ? 'all' : 'tree';
  const history = new FigureHistory(redis.client);
  const now = words.now;
  const read = (place: string) => history.read(place, range, now.getTime());
  const ofTree = tree && (await read(tree.place));
  const steps = of === 'all' || !ofTree ? await read(ALL_TREES) : ofTree;
  const memory = tree && ofTree ? { steps: ofTree, limitMb: tree.limitMb } : null;
  const plots = plotsOf({ steps, memory, range, latencyWarningMs, now }, words);
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

/** What the page's script draws from. */
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
