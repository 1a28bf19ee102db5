import type { Knex } from 'knex';
import { Backoff } from '../../support/backoff';
import { type Ended, lockedIds } from '../row/end';

interface LockedEndingsOptions<E> {
  readonly knex: Knex;
  readonly identity: string;
  /** Called with those whose rows are free: their outcomes can be recorded. */
  readonly onFree: (endings: readonly E[]) => void;
}

/**
 * Outcomes that could not be recorded, because an open transaction of the app has locked some of their rows, as after `Job.cancel`.
 * Finds out which, and looks for the end of that transaction after 0.1 s, then at growing intervals up to 1 s. Until then these
 * rows stay `running`, and this process's.
 */
export class LockedEndings<E extends Ended> {
  /** Those that wait. */
  endings: readonly E[] = [];
  private isLooking = false;
  private isClosed = false;
  private timer: NodeJS.Timeout | undefined;
  private readonly backoff = new Backoff({ base: 100, max: 1000 });

  constructor(private readonly options: LockedEndingsOptions<E>) {}

  get ids(): string[] {
    return this.endings.map(({ delivery }) => delivery.id);
  }

  push(endings: readonly E[]): void {
    this.endings = [...this.endings, ...endings];
    this.backoff.reset();
    void this.look();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    if (this.isLooking || this.isClosed) return;
    this.isLooking = true;
    clearTimeout(this.timer);
    const { knex, identity, onFree } = this.options;
    const { endings } = this;
    // Where Postgres does not answer, they count as locked.
    const locked = await lockedIds(knex, identity, endings).catch(() => new Set(this.ids));
    const free = endings.filter(({ delivery }) => !locked.has(delivery.id));
    this.endings = this.endings.filter((ending) => !free.includes(ending));
    this.isLooking = false;
    if (free.length > 0) onFree(free);
    if (this.endings.length > 0 && !this.isClosed) this.timer = setTimeout(() => void this.look(), this.backoff.next());
  }
}
