import type { IconName } from '../page/icons';
import type { Tone } from './words';

/** A figure on a card, and whether it is out of bounds. */
export interface Figure {
  readonly text: string;
  readonly tone: 'warn' | 'bad' | null;
}

/** One process, as its card shows it. */
export interface NodeView {
  /** `worker-0`, `jobs`, `primary`. */
  readonly id: string;
  readonly kind: 'primary' | 'worker' | 'jobs';
  readonly tone: Tone;
  readonly line: 'solid' | 'dashed' | 'cut';
  readonly icon: IconName;
  readonly name: string;
  readonly phase: string;
  /** How many of its places are taken, of how many; null: not known. */
  readonly on: number | null;
  readonly of: number;
  readonly waiting: Figure;
  readonly lag: Figure;
  readonly memory: Figure;
  /** Memory, of 200 MB: all cards share the scale. */
  readonly barPercent: number;
  readonly hot: boolean;
  readonly say: string;
}

/** A card as it is drawn. */
export interface CardView extends NodeView {
  /** What it says is what everybody could see. */
  readonly calm: boolean;
  readonly iconClass: string;
  /** For more places than there can be pips. */
  readonly loadPercent: number;
}

export function cardView(node: NodeView): CardView {
  const turning = node.icon === 'restart' && node.tone !== 'ok';
  const loadPercent = node.of === 0 ? 0 : Math.min(100, Math.round(((node.on ?? 0) / node.of) * 100));
  return { calm: node.tone === 'ok' && node.icon === 'ok', iconClass: turning ? 'i spin' : 'i', loadPercent, ...node };
}

/** All bars of memory end here, MB. */
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

/** `{}` stands for nothing known yet. */
export function known<T extends object>(status: T | Record<string, never>): T | undefined {
  return Object.keys(status).length > 0 ? (status as T) : undefined;
}
