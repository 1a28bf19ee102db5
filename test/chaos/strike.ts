import type { Fault, Roll } from './fault/fault';
import type { Mishap } from './ledger/ledger';
import { allIsWell, type Recovery } from './probe';
import type { Scene } from './scene/scene';

/** What was wrong may be felt a little longer by a request that was on its way. */
const AFTER_MS = 1000;

/** A fault that struck. Times as `performance.now()`. */
export interface Strike {
  readonly fault: Fault;
  readonly from: number;
  /** When all was well again; undefined: it never was. */
  readonly to: number | undefined;
  /** How long that took after the fault itself was over. */
  readonly recovery: Recovery | undefined;
  /** Why not. */
  readonly error: Error | undefined;
}

/** Never rejects. */
export async function strike(fault: Fault, scene: Scene, roll: Roll): Promise<Strike> {
  const from = performance.now();
  try {
    await fault.strike(scene, roll);
    const recovery = await allIsWell(scene);
    return { fault, from, to: performance.now(), recovery, error: undefined };
  } catch (thrown) {
    return { fault, from, to: undefined, recovery: undefined, error: thrown as Error };
  }
}

/** Requests that came to more harm than what was wrong at their time explains. */
export function lostRequests(mishaps: readonly Mishap[], strikes: readonly Strike[]): Mishap[] {
  return mishaps.filter((mishap) => !strikes.some((one) => explains(one, mishap)));
}

function explains({ fault, from, to = Number.POSITIVE_INFINITY }: Strike, mishap: Mishap): boolean {
  if (!fault.damage || mishap.to < from || mishap.from > to + AFTER_MS) return false;
  return mishap.damage === fault.damage || (mishap.damage === 'turned away' && fault.damage === 'cut');
}
