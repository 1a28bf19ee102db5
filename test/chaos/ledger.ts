import fs from 'node:fs';
import type { Outcome } from './traffic';

/** The ways to enqueue a task (test/fixtures/chaos-app) that clients use all the time. */
export const TASKS = [
  ...(['alone', 'transaction', 'later', 'retried', 'checkpointed', 'limited', 'notes'] as const),
  ...(['rated', 'stepped', 'snoozing', 'secret', 'cancelled', 'urgent', 'kept', 'batched'] as const),
  ...(['walked', 'threaded', 'latest', 'debounced'] as const),
  ...(['rolled-back', 'late-rolled-back'] as const),
] as const;
/** All kinds of tasks; the additional ones are only enqueued by faults. */
export type TaskKind = (typeof TASKS)[number] | 'long';

/** What the answer to the enqueue of a task promises: that it runs, that it never does, or nothing. */
export type Promised = 'a run' | 'no run' | 'nothing';

/** @param status of the response; undefined: there was none, so that the task may or may not have been committed. */
export function promisedBy(kind: TaskKind, status: number | undefined): Promised {
  if (kind === 'rolled-back' || kind === 'late-rolled-back') return 'no run';
  if (kind === 'cancelled') return status === 204 ? 'no run' : 'nothing';
  return status === 201 ? 'a run' : 'nothing';
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

export interface AcceptedTask {
  readonly id: number;
  readonly kind: TaskKind;
  readonly promised: Exclude<Promised, 'nothing'>;
  /** Time of the response, as `performance.now()`. */
  readonly at: number;
}

/** Records what the responses promised to the clients, and the requests that failed. */
export class Ledger {
  readonly users: SignedUp[] = [];
  readonly tasks: AcceptedTask[] = [];
  readonly mishaps: Mishap[] = [];
  /** Addresses whose sign-up got no response: it may or may not have been committed. */
  readonly unsure = new Set<string>();
  /** Tasks that were promised nothing. They may run. */
  readonly unsureTasks = new Set<number>();
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
  readonly task?: number;
  readonly checkpointed?: number;
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

  /** Number of runs by task. */
  tasks(): Map<number, number> {
    return counts(this.lines().flatMap(({ task }) => task ?? []));
  }

  ticks(): Map<string, number> {
    return counts(this.lines().flatMap(({ tick }) => tick ?? []));
  }

  /** Times at which job `id` was about to kill its process, on the scale of this process's `performance.now()`. */
  killsBy(id: number): number[] {
    const own = this.lines().filter(({ poison }) => poison === id);
    return own.map(({ killedAt = 0 }) => killedAt - performance.timeOrigin);
  }

  /** The steps of each checkpointed in the order in which they ran. */
  checkpoints(): Map<number, number[]> {
    const checkpoints = new Map<number, number[]>();
    for (const { checkpointed, step } of this.lines()) {
      if (checkpointed !== undefined && step !== undefined)
        checkpoints.set(checkpointed, [...(checkpoints.get(checkpointed) ?? []), step]);
    }
    return checkpoints;
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
