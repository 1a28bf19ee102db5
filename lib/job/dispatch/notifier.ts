import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { onOutcome } from '../../model/transaction';
import { Backoff } from '../../support/async';
import type { Hints } from '../hint/hints';
import type { ReadyJob } from '../row/claim';

/**
 * What a notification says. `look`: something may be ready or scheduled that the dispatcher should hint at. `unhinted`: jobs are
 * ready that cannot be hinted at, since Redis does not take hints, so processors should look into Postgres. `hinted`: jobs were
 * enqueued and hinted at, so the dispatcher should look soon whether each hint has reached a processor. `cron`, `pauses`: these
 * tables have changed.
 */
export type Notice = 'look' | 'unhinted' | 'hinted' | 'cron' | 'pauses';

/** Pause between two notifications, ms. */
const GATHER_MS = 10;
/** The dispatcher is told of hinted jobs this long after the first of them, ms. */
const HINTED_MS = 1000;
/** Maximum number of attempts to send a notification that Postgres does not accept. */
const MAX_ATTEMPTS = 15;

/** Notifies all job processors. */
export async function notify(knex: Knex, notice: Notice): Promise<void> {
  await knex.raw('select pg_notify(?, ?)', [TABLES.channel, notice]);
}

/**
 * Announces jobs once they are committed: by a hint in Redis, which wakes one processor, and costs Postgres nothing; or, for jobs
 * that are scheduled and while Redis does not take hints, by a notification of Postgres. NOTIFY within the transaction would save a
 * round trip, but Postgres commits transactions that notify one at a time, each with its own wait for the disk. A separate one is
 * sent at once or, under load, one for many jobs. If one is lost with this process, its successor sends another.
 */
export class Notifier {
  private sending = false;
  private readonly due = new Set<Notice>();
  private hinted: NodeJS.Timeout | undefined;
  private readonly backoff = new Backoff({ base: 100, max: 5000 });

  /** @param hints undefined: there is no Redis. */
  constructor(
    private readonly knex: Knex,
    private readonly hints: Hints | undefined,
  ) {}

  /** Call when the process starts: its predecessor may have died between a COMMIT and the announcement. */
  started(): void {
    this.notify('look');
  }

  /**
   * @param knex the connection or transaction that inserted the jobs; a transaction's COMMIT is awaited.
   * @param ready those that may run at once. @param scheduled true: there are others.
   */
  inserted(knex: Knex, ready: readonly ReadyJob[], scheduled: boolean): void {
    const announce = (committed: boolean) => {
      if (committed) this.announce(ready, scheduled);
    };
    if (knex.isTransaction) onOutcome(knex as Knex.Transaction, announce);
    else announce(true);
  }

  /** Announces jobs that are ready, at the tail of their queues or at the head, and that others are scheduled. */
  announce(ready: readonly ReadyJob[], scheduled: boolean, at: 'head' | 'tail' = 'tail'): void {
    if (scheduled) this.notify('look');
    if (ready.length > 0) void this.hint(ready, at);
  }

  private async hint(jobs: readonly ReadyJob[], at: 'head' | 'tail'): Promise<void> {
    const pushed = (await this.hints?.push(jobs, at)) ?? 'failed';
    if (pushed === 'failed') this.notify('unhinted');
    else this.hinted ??= setTimeout(() => this.tellOfHints(), HINTED_MS).unref();
  }

  private tellOfHints(): void {
    this.hinted = undefined;
    // The dispatcher looks from time to time anyway.
    notify(this.knex, 'hinted').catch(() => undefined);
  }

  private notify(notice: Notice): void {
    this.due.add(notice);
    if (!this.sending) void this.send();
  }

  private async send(): Promise<void> {
    this.sending = true;
    for (let [notice] = this.due; notice !== undefined; [notice] = this.due) {
      this.due.delete(notice);
      // The dispatchers of idle trees look rarely, so a failed notification is sent again, for about a minute.
      const sent = await notify(this.knex, notice).then(
        () => true,
        () => false,
      );
      if (sent) this.backoff.reset();
      else if (this.backoff.attempts < MAX_ATTEMPTS) this.due.add(notice);
      await wait(sent ? GATHER_MS : this.backoff.next(), undefined, { ref: sent });
    }
    this.backoff.reset();
    this.sending = false;
  }
}
