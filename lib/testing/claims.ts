import type { EnqueueRequest } from '../job/definition/job-class';

interface Claim {
  readonly id: string;
  /** ms since 1970; Infinity for a claim that does not expire. */
  readonly endsAt: number;
}

/** The holders of the keys of unique jobs, which the rows of real jobs store. */
export class Claims {
  private readonly held = new Map<string, Claim>();

  /**
   * Claims the key of a unique job.
   * @param dueAt earliest time to run, ms since 1970; the claim's time to live starts then.
   * @returns the id of the job that already holds the key; undefined if this job now holds it or is not unique.
   */
  take({ id, unique }: EnqueueRequest, dueAt: number): string | undefined {
    if (!unique) return undefined;
    const holder = this.held.get(unique.key);
    if (holder && holder.endsAt > Date.now()) return holder.id;
    this.held.set(unique.key, { id, endsAt: unique.ttlMs === null ? Number.POSITIVE_INFINITY : dueAt + unique.ttlMs });
    return undefined;
  }

  release(id: string): void {
    for (const [key, claim] of this.held) {
      if (claim.id === id) this.held.delete(key);
    }
  }

  clear(): void {
    this.held.clear();
  }
}
