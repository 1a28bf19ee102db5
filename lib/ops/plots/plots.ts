import { PLANNED_SHARE } from '../../core/machine';
import { byText } from '../../support/text-order';
import type { FigureStep } from '../../tree/figure-history';
import { type FigureRange, stepMsOf } from '../../tree/figure-ranges';
import type { Words } from '../overview/words';
import { memoryPlot } from './memory-plot';
import { percentile } from './percentile';
import { latestOf, type Plot, roundUp, type Series, short, ticksUpTo } from './plot';

/** Figures come in parts of so many seconds, each soon after its end, s. */
const PART_S = 10;
const SOON_S = 5;
/** Queues with a line of their own. */
const QUEUES = 3;

export interface PlotSource {
  /** Of the tree, or of all trees. */
  readonly steps: readonly FigureStep[];
  /** Of the tree; null: there is none to tell of. */
  readonly memory: { readonly steps: readonly FigureStep[]; readonly limitMb: number | null } | null;
  readonly range: FigureRange;
  readonly latencyWarningMs: number;
  readonly now: Date;
}

type Figures = NonNullable<FigureStep['figures']>;

/** All plots of the overview. */
export function plotsOf(source: PlotSource, words: Words): Plot[] {
  const { steps, range, now, memory } = source;
  const stepS = stepMsOf(range) / 1000;
  // What is not written yet was not idle: of the last steps only the seconds that are written count.
  const seconds = (at: Date) => {
    const written = Math.floor(((now.getTime() - at.getTime()) / 1000 - SOON_S) / PART_S) * PART_S;
    return Math.min(stepS, written);
  };
  const each = (pick: (figures: Figures, seconds: number) => number | null) =>
    steps.map(({ at, figures }) => (figures && seconds(at) >= PART_S ? short(pick(figures, seconds(at))) : null));
  const { t } = words;
  const line = (
    key: string,
    look: Series['look'],
    values: (number | null)[],
    unit: (value: number) => string,
  ): Series => {
    const latest = latestOf(values);
    return { label: t(`plots.series.${key}`), look, values, latest: latest === null ? '–' : unit(latest) };
  };
  const ms = (value: number) => t('time.ms', { n: plain(value) });
  const perMin = (value: number) => t('plots.perMin', { n: plain(value) });
  const times = (counts: (figures: Figures) => readonly number[], slowest: (figures: Figures) => number) =>
    (
      [
        ['p50', 'k1', 0.5],
        ['p99', 'k2', 0.99],
      ] as const
    ).map(([key, look, share]) =>
      line(
        key,
        look,
        each((figures) => percentile(counts(figures), share, slowest(figures))),
        ms,
      ),
    );
  // Less than one a second is told by the minute: nobody reads 0.0167/s.
  const busy = each(({ sums }, span) => sums.requests / span).some((value) => (value ?? 0) >= 1);
  const perMinute = (pick: (figures: Figures) => number) => each((figures, span) => (pick(figures) / span) * 60);
  const plots: Plot[] = [
    plot(
      'requests',
      [
        busy
          ? line(
              'perS',
              'k1',
              each(({ sums }, span) => sums.requests / span),
              (value) => `${plain(value)}/s`,
            )
          : line(
              'perMinute',
              'k1',
              perMinute(({ sums }) => sums.requests),
              perMin,
            ),
      ],
      words,
      busy ? '/s' : t('plots.unit.jobs'),
    ),
    plot(
      'response',
      times(
        ({ duration }) => duration,
        ({ slowest }) => slowest.durationMs,
      ),
      words,
    ),
    plot(
      'queueTime',
      times(
        ({ queued }) => queued,
        ({ slowest }) => slowest.queuedMs,
      ),
      words,
    ),
    plot(
      'errors',
      [
        line(
          'http5xx',
          'k3',
          perMinute(({ sums }) => Math.max(0, sums.serverErrors - sums.turnedAway)),
          perMin,
        ),
        line(
          'http503',
          'k5',
          perMinute(({ sums }) => sums.turnedAway),
          perMin,
        ),
      ],
      words,
    ),
    plot(
      'jobs',
      [
        line(
          'processed',
          'k1',
          perMinute(({ sums }) => sums.processed),
          perMin,
        ),
        line(
          'failed',
          'k3',
          perMinute(({ sums }) => sums.failed),
          perMin,
        ),
      ],
      words,
    ),
    latencyPlot(source, words),
  ];
  if (memory) plots.push(memoryPlot(memory.steps, memory.limitMb, PLANNED_SHARE, words));
  return plots;
}

function plot(key: Plot['key'], series: readonly Series[], { t }: Words, unit = t(`plots.unit.${key}`)): Plot {
  const greatest = Math.max(...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const max = roundUp(greatest);
  return {
    key,
    title: t(`plots.title.${key}`),
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

/** How long the next job of each queue had waited: those that waited longest have a line of their own. */
function latencyPlot({ steps, latencyWarningMs }: PlotSource, words: Words): Plot {
  const names = [...new Set(steps.flatMap(({ figures }) => Object.keys(figures?.latencies ?? {})))];
  const longest = (name: string) => Math.max(...steps.map(({ figures }) => figures?.latencies[name] ?? 0));
  const shown = names.sort((a, b) => longest(b) - longest(a) || byText(a, b)).slice(0, QUEUES);
  const looks = ['k1', 'k2', 'k5'] as const;
  const series = shown.map((name, i): Series => {
    const values = steps.map(({ figures }) => (figures ? short((figures.latencies[name] ?? 0) / 1000) : null));
    const latest = latestOf(values);
    return {
      label: name,
      look: looks[i] ?? 'k1',
      values,
      latest: latest === null ? '–' : words.t('time.s', { n: plain(latest) }),
    };
  });
  const limit = latencyWarningMs > 0 ? latencyWarningMs / 1000 : null;
  const drawn = plot('latency', series, words);
  const late = limit !== null && series.some(({ values }) => (latestOf(values) ?? 0) > limit);
  return { ...drawn, limit: limit !== null && limit <= drawn.max ? limit : null, late };
}

function plain(value: number): string {
  return String(value >= 100 ? Math.round(value) : short(value));
}
