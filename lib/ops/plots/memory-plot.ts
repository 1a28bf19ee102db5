import type { FigureStep } from '../../tree/figure-history';
import type { Words } from '../overview/words';
import { workerShade } from '../overview/worker-shade';
import { latestOf, type Plot, roundUp, type Series, short, ticksUpTo } from './plot';

/** What each process of a tree took, one upon the other. @param share of the limit above which workers are recycled. */
export function memoryPlot(steps: readonly FigureStep[], limitMb: number | null, share: number, words: Words): Plot {
  const { t } = words;
  const names = [...new Set(steps.flatMap(({ figures }) => Object.keys(figures?.memory ?? {})))].sort(inOrder);
  const series = names.map((name): Series => {
    const values = steps.map(({ figures }) => (figures ? short(figures.memory[name] ?? 0) : null));
    return {
      label: labelOf(name, words),
      look: lookOf(name),
      values,
      latest: latestOf(values) ? words.mb(latestOf(values)) : null,
    };
  });
  const totals = steps.map(({ figures }) => figures && Object.values(figures.memory).reduce((sum, mb) => sum + mb, 0));
  const greatest = Math.max(0, ...totals.map((total) => total ?? 0));
  const max = limitMb === null ? roundUp(greatest) : Math.max(limitMb, roundUp(greatest > limitMb ? greatest : 1));
  const limit = limitMb === null ? null : limitMb * share;
  const latest = latestOf(totals.map((total) => total ?? null));
  return {
    key: 'memory',
    title: t('plots.title.memory'),
    unit: 'MB',
    series,
    stacked: true,
    max,
    ticks: ticksUpTo(max),
    limit,
    late: limit !== null && (latest ?? 0) > limit,
    total: words.mb(latest),
  };
}

/** The primary at the bottom, then the workers by slot, the jobs on top. */
function inOrder(a: string, b: string): number {
  return rank(a) - rank(b);
}

function rank(name: string): number {
  if (name === 'primary') return -1;
  return name === 'jobs' ? Number.MAX_SAFE_INTEGER : slotOf(name);
}

function slotOf(name: string): number {
  return Number(name.slice('worker '.length)) || 0;
}

function lookOf(name: string): Series['look'] {
  if (name === 'primary') return 'p';
  if (name === 'jobs') return 'j';
  return workerShade(slotOf(name));
}

function labelOf(name: string, { t }: Words): string {
  if (name === 'primary' || name === 'jobs') return t(`overview.name.${name}`);
  return t('overview.name.worker', { slot: slotOf(name) });
}
