import type { TreePicture } from '../../cluster/tree-picture';
import type { Rates } from './rates';
import type { Stores } from './stores';

/** How a line is shown. Trouble also has a word or a sign: there may be no colours. */
export type Tone = 'plain' | 'strong' | 'faint' | 'selected' | 'warn' | 'bad';

export interface Line {
  readonly text: string;
  readonly tone: Tone;
}

export function line(text = '', tone: Tone = 'plain'): Line {
  return { text, tone };
}

/** All that a frame is drawn from. */
export interface View {
  /** undefined as long as the tree has not answered. */
  readonly picture: TreePicture | undefined;
  readonly rates: Rates;
  readonly stores: Stores;
  /** Why the tree does not answer; undefined when it does. */
  readonly silence: string | undefined;
  /** Index among the workers that are shown. */
  readonly selected: number;
  /** What became of the last order. */
  readonly message: Line | undefined;
  /** To be answered by y or n. */
  readonly question: string | undefined;
  readonly help: boolean;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}
