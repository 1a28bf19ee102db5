import type { TreeStatus } from '../../cluster/status';
import { formatElapsed } from '../../support/duration';
import { UNKNOWN } from '../../support/figures';
import { countText } from '../../support/text';
import type { Rates } from './rates';
import type { Stores } from './stores';

/** The style of a line. A problem is also marked by a word or a sign, since there may be no colours. */
export type Tone = 'plain' | 'strong' | 'faint' | 'warn' | 'bad';

export interface Line {
  readonly text: string;
  readonly tone: Tone;
}

export function line(text = '', tone: Tone = 'plain'): Line {
  return { text, tone };
}

/** Everything from which a frame is drawn. */
export interface View {
  readonly treeStatus: TreeStatus;
  readonly rates: Rates;
  readonly stores: Stores;
  /** Why the tree does not answer; undefined while it answers. */
  readonly silence: string | undefined;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

type Value = number | null | undefined;

function isKnown(value: Value): value is number {
  return value !== null && value !== undefined;
}

/** Formats a duration. */
export function formatTime(ms: Value): string {
  return isKnown(ms) ? formatElapsed(ms) : UNKNOWN;
}

export function formatCount(value: Value): string {
  return isKnown(value) ? countText(value) : UNKNOWN;
}
