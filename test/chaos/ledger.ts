import fs from 'node:fs';
import type { Outcome } from './traffic';

/** The ways to enqueue a chore (test/fixtures/chaos-app), each of which is used all the time. */
export const CHORES = [
  ...(['straight', 'outbox', 'durable', 'later', 'stubborn', 'walk', 'held', 'notes'] as const),
  ...(['rolled-back', 'late-rolled-back'] as const),
] as const;
/** Some are enqueued by faults only. */
export type ChoreKind = (typeof CHORES)[number] | 'long' | 'patient' | 'sole';

/** Its transaction is taken back: it must never run. */
export function isTakenBack(kind: ChoreKind): boolean {
  return kind === 'rolled-back' || kind === 'late-rolled-back';
}

/** How badly a request can end: refused with Retry-After (503, 429), answered wrongly, which nothing excuses, or without an answer. */
export type Damage = 'turned away' | 'failed' | 'cut';

/** A request that did not get what it asked for. Times as `performance.now()`. */
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
  /** When it was answered, as `performance.now()`. */
  readonly at: number;
}

/** What the clients were promised, and which of their requests went wrong. */
export class Ledger {
  readonly users: SignedUp[] = [];
  readonly chores: AcceptedChore[] = [];
  readonly mishaps: Mishap[] = [];
  /** Addresses whose sign-up was cut off: it may have been committed or not. */
  readonly unsure = new Set<string>();
  /** The same for chores. */
  readonly unsureChores = new Set<number>();
  /** Broken promises that are seen during the run. */
  readonly broken: string[] = [];
  /** How many requests were answered with a status below 400. */
  served = 0;

  /** @param from when it was sent, as `performance.now()`. */
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

/** What the jobs of test/fixtures/chaos-app have recorded in a file. */
export class JobLedger {
  constructor(readonly file: string) {
    fs.writeFileSync(file, '');
  }

  /** How often each chore ran. */
  chores(): Map<number, number> {
    return counts(this.lines().flatMap(({ chore }) => chore ?? []));
  }

  ticks(): Map<string, number> {
    return counts(this.lines().flatMap(({ tick }) => tick ?? []));
  }

  /** When job `id` was about to kill its process, as `performance.now()` of this one. */
  killsBy(id: number): number[] {
    const own = this.lines().filter(({ poison }) => poison === id);
    return own.map(({ killedAt = 0 }) => killedAt - performance.timeOrigin);
  }

  /** The steps of walks, in the order they were taken. */
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
