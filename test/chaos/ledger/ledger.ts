import type { Outcome } from '../traffic/exchange';

/** Roads that a chore may take (test/fixtures/chaos-app); `rolled-back` is one that must never run. */
export const CHORES = ['straight', 'outbox', 'durable', 'later', 'stubborn', 'walk', 'rolled-back'] as const;
export type ChoreKind = (typeof CHORES)[number];

/** How badly a request can end: told when to come back, answered wrongly (which nothing excuses), or without an answer. */
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

/** What the clients were promised, and whatever went wrong on the way. */
export class Ledger {
  readonly users: SignedUp[] = [];
  readonly chores: AcceptedChore[] = [];
  readonly mishaps: Mishap[] = [];
  /** Answers below 400, by status. */
  readonly answered = new Map<number, number>();
  /** Addresses whose sign-up was cut off: they may be there or not. */
  readonly unsure = new Set<string>();
  /** The same of chores. */
  readonly unsureChores = new Set<number>();
  /** What was promised, and is not so: told as soon as it is seen. */
  readonly broken: string[] = [];
  /** Connections that nobody took: the tree was away, and nothing was asked. */
  refused = 0;

  /** @param from when it was sent, as `performance.now()`. */
  record(what: string, outcome: Outcome, from: number): void {
    if ('status' in outcome && outcome.status < 400) {
      this.answered.set(outcome.status, (this.answered.get(outcome.status) ?? 0) + 1);
    } else {
      this.mishaps.push({ what, outcome, damage: damageOf(outcome), from, to: performance.now() });
    }
  }

  get served(): number {
    return [...this.answered.values()].reduce((sum, count) => sum + count, 0);
  }
}

function damageOf(outcome: Outcome): Damage {
  if ('error' in outcome) return 'cut';
  return outcome.status === 503 && outcome.retryAfter !== undefined ? 'turned away' : 'failed';
}
