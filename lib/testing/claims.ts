import type { EnqueueRequest } from '../job/enqueue/request';

interface Claim {
  readonly id: string;
  /** ms since 1970. */
  readonly endsAt: number;
}

/** Which job holds the key of a unique one, as the outbox knows it for real jobs. */
export class Claims {
  private readonly held = new Map<string, Claim>();

  /**
   * @param dueAt when the job may run, ms since 1970: from then on its claim ages.
   * @returns the id of the job that holds the key; undefined when the claim is taken by this one, or it needs none.
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
