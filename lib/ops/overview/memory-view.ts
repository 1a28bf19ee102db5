import type { TreeStatus } from '../../cluster/status';
import type { Formatter } from '../ui/format';

export interface MemoryView {
  readonly tone: 'ok' | 'warn';
  /** `450 of 512 MB`, or without a limit `450 MB`. */
  readonly text: string;
  /** Share of the limit in use, percent; null without a limit, or while it is unknown. */
  readonly percent: number | null;
  readonly note: string;
}

/** @param isKnown false for a tree that sends no heartbeat, whose sizes are unknown. */
export function memoryView({ stats, limits }: TreeStatus, format: Formatter, isKnown = true): MemoryView {
  const { t } = format;
  const { limitMb: limit, pssMb } = stats.memory;
  const used = isKnown ? pssMb : null;
  const { recycleAboveMb: recycle } = limits;
  const percent = used === null || limit === null ? null : format.percent(used / limit);
  return {
    tone: recycle !== null && (used ?? 0) > recycle ? 'warn' : 'ok',
    text:
      limit === null
        ? format.mb(used)
        : t('overview.memory.of', { used: used === null ? '–' : Math.round(used), limit }),
    percent,
    note: recycleNote(stats, recycle, format),
  };
}

function recycleNote({ workers, memory }: TreeStatus['stats'], recycle: number | null, format: Formatter): string {
  if (recycle === null) return format.t('overview.memory.noLimit');
  if (workers === 0) return '';
  return format.t('overview.memory.recycles', { percent: format.percent(recycle / (memory.limitMb ?? recycle)) });
}
