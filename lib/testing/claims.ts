import { compileOptions } from '../job/definition/options';
import type { LoggedJob } from './job-log';

interface Claim {
  readonly entry: LoggedJob;
  /** ms since 1970: when it expires, or until when later enqueues may postpone the job. */
  readonly endsAt: number;
}

/** The holders of the keys of unique jobs, which the rows of real jobs store, and when jobs of each key began. */
export class Claims {
  private readonly held = new Map<string, Claim>();
  private readonly begunAt = new Map<string, number>();

  /** The job that holds the key of this one. */
  holderOf({ request: { unique } }: LoggedJob): LoggedJob | undefined {
    const claim = unique && this.held.get(unique.key);
    return claim && (unique.onConflict === 'replace' || claim.endsAt > Date.now()) ? claim.entry : undefined;
  }

  /**
   * Gives a unique job its key, and takes it from the holder.
   * @param replaced the job that leaves for it: it is postponed no longer than that one would have been.
   */
  give(entry: LoggedJob, replaced?: LoggedJob): void {
    const { unique, runAt } = entry.request;
    if (!unique) return;
    const endsAt = unique.ttlMs === null ? Number.POSITIVE_INFINITY : entry.dueAt + unique.ttlMs;
    const first = replaced?.runs === 0 && unique.ttlMs !== null ? this.held.get(unique.key)?.endsAt : undefined;
    const earliest = Math.min(endsAt, first ?? endsAt);
    if (runAt) entry.dueAt = Math.min(entry.dueAt, earliest);
    this.held.set(unique.key, { entry, endsAt: earliest });
  }

  /** Call when a job begins. */
  begun({ request: { limitKey } }: LoggedJob): void {
    if (limitKey !== undefined) this.begunAt.set(limitKey, Date.now());
  }

  /** The time before which a job may not begin, since its class throttles; ms since 1970. */
  throttledUntil({ request: { jobClass, limitKey = '' } }: LoggedJob): number {
    const { limit } = compileOptions(jobClass).unique ?? {};
    return (this.begunAt.get(limitKey) ?? Number.NEGATIVE_INFINITY) + (limit?.gapMs ?? 0);
  }

  release(id: string): void {
    for (const [key, { entry }] of this.held) {
      if (entry.request.id === id) this.held.delete(key);
    }
  }

  clear(): void {
    this.held.clear();
    this.begunAt.clear();
  }
}
