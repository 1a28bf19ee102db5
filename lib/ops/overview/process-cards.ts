import {
  type NextRestart,
  reported,
  type SlotStatus,
  type Termination,
  type TreeStatus,
  type WorkerStats,
  type WorkerStatus,
} from '../../cluster/status';
import { hotFactor, inSlot, isRestarting, servingWorkers, unresponsiveMs } from '../../health/issues';
import { type Formatter, facts, sentences, type Tone } from '../ui/format';
import type { IconName } from '../ui/layout';

/** A figure on a card. `tone` is set when it is out of bounds. */
interface Figure {
  readonly text: string;
  readonly tone: 'warn' | 'bad' | null;
}

export interface ProcessView {
  /** `worker-0`, `jobs`, `primary`. */
  readonly id: string;
  readonly kind: 'primary' | 'worker' | 'jobs';
  readonly tone: Tone;
  /** Of its frame; cut: there is no process. */
  readonly line: 'solid' | 'dashed' | 'cut';
  readonly icon: IconName;
  readonly name: string;
  readonly phase: string;
  /** Number of its slots in use, of `of`; null when it is unknown, or it has none. */
  readonly on: number | null;
  readonly of: number;
  readonly waiting: Figure;
  readonly lag: Figure;
  readonly memory: Figure;
  /** Memory in percent of BAR_MB: all cards share the scale. */
  readonly barPercent: number;
  readonly hot: boolean;
  readonly say: string;
  /** When each part of the job processor last made progress; '' while it is not well, absent from other processes. */
  readonly moved?: string;
}

export interface CardView extends ProcessView {
  readonly iconClass: string;
  /** Used slots in percent, for processes with too many slots for pips. */
  readonly loadPercent: number;
}

export function cardView(node: ProcessView): CardView {
  const turning = node.icon === 'restart' && node.tone !== 'ok';
  const loadPercent = node.of === 0 ? 0 : Math.min(100, Math.round(((node.on ?? 0) / node.of) * 100));
  return { iconClass: turning ? 'i spin' : 'i', loadPercent, ...node };
}

/** Scale of the memory bars, MB. */
const BAR_MB = 200;
const SLOW_LAG_MS = 100;

export const ICONS: Readonly<Record<Tone, IconName>> = {
  ok: 'ok',
  busy: 'more',
  warn: 'warn',
  bad: 'bad',
  unknown: 'unknown',
};

export function barPercent(mb: number | null | undefined): number {
  return Math.min(100, Math.round(((mb ?? 0) / BAR_MB) * 100));
}

export function lagFigure(lagMs: number | undefined): Figure {
  if (lagMs === undefined) return { text: '–', tone: null };
  return { text: `${Math.round(lagMs)} ms`, tone: lagMs >= SLOW_LAG_MS ? 'warn' : null };
}

export interface State {
  readonly tone: Tone;
  readonly line?: ProcessView['line'];
  readonly icon?: IconName;
  readonly phase: string;
  readonly say: string;
}

/** The card of a slot: its worker, or how far the restart of its worker is. */
export function workerView(treeStatus: TreeStatus, slot: SlotStatus, format: Formatter): ProcessView {
  const { t } = format;
  const { current, outgoing } = inSlot(treeStatus, slot);
  const shown = current?.state === 'ready' || !outgoing ? current : outgoing;
  const status = shown && reported(shown.lastStatus);
  const mb = shown ? (shown.pssMb ?? status?.rssMb) : undefined;
  const state = describeState({ treeStatus, slot, current, outgoing, status }, format);
  const factor = hotFactor(treeStatus, slot.index, mb);
  const hot = factor !== null && state.tone === 'ok' && !outgoing;
  const waiting = status?.backlog;
  return {
    id: `worker-${slot.index}`,
    kind: 'worker',
    name: t('overview.name.worker', { slot: slot.index }),
    on: shown ? (unresponsiveMs(shown) === null ? (status?.busyThreads ?? null) : null) : 0,
    of: status?.maxThreads ?? treeStatus.limits.maxThreads,
    waiting: { text: shown ? String(waiting ?? '–') : '0', tone: waiting ? 'warn' : null },
    lag: lagFigure(status?.lagP99Ms),
    memory: { text: format.mb(mb), tone: hot ? 'bad' : null },
    barPercent: barPercent(mb),
    hot,
    tone: hot ? 'warn' : state.tone,
    line: state.line ?? 'solid',
    icon: hot ? 'warn' : (state.icon ?? ICONS[state.tone]),
    phase: state.phase,
    say: hot ? t('overview.say.hot', { mb: Math.round(mb ?? 0), factor: factor.toFixed(1) }) : state.say,
  };
}

interface Slotted {
  readonly treeStatus: TreeStatus;
  readonly slot: SlotStatus;
  readonly current: WorkerStats | undefined;
  readonly outgoing: WorkerStats | undefined;
  readonly status: WorkerStatus | undefined;
}

function describeState(slotted: Slotted, format: Formatter): State {
  const { slot, current, outgoing, status } = slotted;
  const { t } = format;
  const cutOff = slot.drainUntil === null ? '' : t('overview.say.cutOff', { span: format.until(slot.drainUntil) });
  const phase = (name: string) => t(`overview.phase.${name}`);
  if (current?.state === 'ready') return readyState(slotted, current, format, cutOff);
  if (current?.state === 'draining' || (outgoing && outgoing.state !== 'ready')) {
    const say = t('overview.say.drains', { count: status?.busyThreads ?? 0 });
    return { tone: 'warn', line: 'dashed', icon: 'drain', phase: phase('draining'), say: `${say} ${cutOff}` };
  }
  if (outgoing) {
    const say = t('overview.say.successor', { pid: outgoing.pid });
    return { tone: 'ok', icon: 'restart', phase: phase('replacing'), say };
  }
  if (isRestarting(slot, { current, outgoing })) {
    const say = terminationText(slot.lastTermination, slot.nextRestart, format);
    return { tone: 'bad', line: 'cut', icon: 'restart', phase: phase('restarting'), say };
  }
  return { tone: 'busy', line: 'dashed', icon: 'restart', phase: phase('starting'), say: t('overview.say.starts') };
}

function readyState(
  { slot, outgoing, status }: Slotted,
  current: WorkerStats,
  format: Formatter,
  cutOff: string,
): State {
  const { t } = format;
  const phase = t('overview.phase.ready');
  const heartbeatAgeMs = unresponsiveMs(current);
  if (heartbeatAgeMs !== null)
    return unresponsiveState(heartbeatAgeMs, (status?.inFlight[0] ?? current.begun)?.what ?? '', format);
  if (outgoing) return { tone: 'ok', phase, say: `${t('overview.say.before', { pid: outgoing.pid })} ${cutOff}` };
  const restarts = Object.values(current.restarts).reduce((sum, count) => sum + count, 0);
  const say = facts(
    t('overview.say.up', { span: format.up(current.startedAt) }),
    t('overview.say.restarts', { count: restarts }),
    `pid ${current.pid}`,
  );
  return { tone: 'ok', phase, say: slot.nextRestart ? terminationText(slot.lastTermination, null, format) : say };
}

/** @param activity what the process does; empty: it is not known. */
export function unresponsiveState(heartbeatAgeMs: number, activity: string, format: Formatter): State {
  const { t } = format;
  const span = format.seconds(heartbeatAgeMs);
  const say =
    activity === '' ? t('overview.say.unresponsive', { span }) : t('overview.say.unresponsiveIn', { span, activity });
  return { tone: 'warn', phase: t('overview.phase.unresponsive'), say };
}

export function primaryView(treeStatus: TreeStatus, format: Formatter): ProcessView {
  const { stats, processMetrics } = treeStatus;
  const mb = processMetrics.pssMb ?? processMetrics.rssMb;
  const { stopping } = treeStatus;
  return {
    id: 'primary',
    kind: 'primary',
    tone: stopping ? 'warn' : 'ok',
    line: 'solid',
    icon: stopping ? 'drain' : 'ok',
    name: format.t('overview.name.primary'),
    phase: stopping ? format.t('overview.phase.stopping') : '',
    on: null,
    of: 0,
    waiting: { text: '', tone: null },
    lag: lagFigure(processMetrics.lagP99Ms),
    memory: { text: format.mb(mb), tone: null },
    barPercent: barPercent(mb),
    hot: false,
    say: facts(
      format.t('overview.say.up', { span: format.up(stats.startedAt) }),
      `pid ${stats.pid}`,
      formatAddress(treeStatus, format),
      stats.workers > 0 && format.t('overview.say.sends', { ready: servingWorkers(stats), count: stats.workers }),
    ),
  };
}

function formatAddress({ address }: TreeStatus, { t }: Formatter): string | null {
  if (address === null) return null;
  if (!URL.canParse(address)) return address;
  const { port } = new URL(address);
  return port === '' ? address : t('overview.say.port', { port });
}

/** Cause of the termination, and the next step: "Loop blocked for 10 s in POST /imports. Killed. Starting, try 2." */
export function terminationText(termination: Termination | null, next: NextRestart | null, format: Formatter): string {
  return sentences(termination && format.cause(termination), next && nextWords(next, format));
}

function nextWords({ at, attempt }: NextRestart, format: Formatter): string {
  const { t, now } = format;
  return Date.parse(at) > now.getTime()
    ? t('overview.next.waits', { span: format.until(at), attempt })
    : t('overview.next.starts', { attempt });
}
