import type { Damage } from '../ledger/ledger';
import type { Scene } from '../scene/scene';

/** @returns a throw of 0 to `sides` - 1, the same for the same seed. */
export type Roll = (sides: number) => number;

/** Something that goes wrong. */
export interface Fault {
  /** As `--only` takes it. */
  readonly name: string;
  readonly about: string;
  /** The worst that may come of requests meanwhile. Default: each is answered as ever. None excuses a 500. */
  readonly damage?: Exclude<Damage, 'failed'>;
  /** Breaks it, and mends it again before it resolves. */
  strike(scene: Scene, roll: Roll): Promise<void>;
}
