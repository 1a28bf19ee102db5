import fs from 'node:fs';
import type { Outcome } from './traffic';

/** The ways to enqueue a chore (test/fixtures/chaos-app) that clients use all the time. */
export const CHORES = [
  ...(['alone', 'transaction', 'later', 'stubborn', 'walk', 'held', 'notes'] as const),
  ...(['rolled-back', 'late-rolled-back'] as const),
] as const;
/** All kinds of chores; the additional ones are only enqueued by faults. */
export type ChoreKind = (typeof CHORES)[number] | 'long' | 'patient' | 'sole';

/** @returns true if the chore's transaction is rolled back, so that it must never run. */
export function isTakenBack(kind: ChoreKind): boolean {
  return kind === 'rolled-back' || kind === 'late-rolled-back';
}

/**
 * The way a request failed: rejected with Retry-After (503, 429), answered wrongly, which no fault excuses, or left
 * without a response.
 */
export type Damage = 'turned away' | 'failed' | 'cut';

/** A request that failed. Times as `performance.now()`. */
export interface Mishap {
  readonly what: string;
  readonly outcome: Outcome;
  readonly damage: Damage;
  readonly from: number;
  readonly to: number;
}

export interface SignedUp {
  readonly email: string;
  readonly token: string;
}

export interface AcceptedChore {
  readonly id: number;
  readonly kind: ChoreKind;
  /** Time of the response, as `performance.now()`. */
  readonly at: number;
}

/** Records what the responses promised to the clients, and the requests that failed. */
export class Ledger {
  readonly users: SignedUp[] = [];
  readonly chores: AcceptedChore[] = [];
  readonly mishaps: Mishap[] = [];
  /** Addresses whose sign-up got no response: it may or may not have been committed. */
  readonly unsure = new Set<string>();
  /** Chores that got no response, and may or may not have been committed. */
  readonly unsureChores = new Set<number>();
  /** Broken promises detected during the run. */
  readonly broken: string[] = [];
  /** Number of requests answered with a status below 400. */
  served = 0;

  /** @param from time of sending, as `performance.now()`. */
  record(what: string, outcome: Outcome, from: number): void {
    if ('status' in outcome && outcome.status < 400) this.served++;
    else this.mishaps.push({ what, outcome, damage: damageOf(outcome), from, to: performance.now() });
  }
}

function damageOf(outcome: Outcome): Damage {
  if ('error' in outcome) return 'cut';
  const comesBack = (outcome.status === 503 || outcome.status === 429) && outcome.retryAfter !== undefined;
  return comesBack ? 'turned away' : 'failed';
}

interface Line {
  readonly chore?: number;
  readonly walk?: number;
  readonly step?: number;
  readonly tick?: string;
  readonly poison?: number;
  readonly killedAt?: number;
}

/** Reads the file in which the jobs of test/fixtures/chaos-app record their runs, one JSON object per line. */
export class JobLedger {
  constructor(readonly file: string) {
    fs.writeFileSync(file, '');
  }

  /** Number of runs by chore. */
  chores(): Map<number, number> {
    return counts(this.lines().flatMap(({ chore }) => chore ?? []));
  }

  ticks(): Map<string, number> {
    return counts(this.lines().flatMap(({ tick }) => tick ?? []));
  }

  /** Times at which job `id` was about to kill its process, on the scale of this process's `performance.now()`. */
  killsBy(id: number): number[] {
    const own = this.lines().filter(({ poison }) => poison === id);
    return own.map(({ killedAt = 0 }) => killedAt - performance.timeOrigin);
  }

  /** The steps of each walk in the order in which they ran. */
  walks(): Map<number, number[]> {
    const walks = new Map<number, number[]>();
    for (const { walk, step } of this.lines()) {
      if (walk !== undefined && step !== undefined) walks.set(walk, [...(walks.get(walk) ?? []), step]);
    }
    return walks;
  }

  private lines(): Line[] {
    const lines = fs.readFileSync(this.file, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Line);
  }
}

function counts<T>(items: readonly T[]): Map<T, number> {
  const found = new Map<T, number>();
  for (const item of items) found.set(item, (found.get(item) ?? 0) + 1);
  return found;
}
