import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { Backoff } from '../../support/backoff';

/**
 * The reason for a notification.
 * - `look`: jobs may be ready or scheduled that the dispatcher should hint at.
 * - `unhinted`: jobs are ready, but Redis takes no hints, so processors should look into Postgres.
 * - `hinted`: jobs were enqueued and hinted at, so the dispatcher should look soon whether each hint has reached a processor.
 * - `prioritised`: jobs with a priority may run, so processors should choose jobs by it.
 * - `cron`, `pauses`: these tables have changed.
 * - `cancel`: running jobs were asked to cancel.
 */
export type Notice = 'look' | 'unhinted' | 'hinted' | 'prioritised' | 'cron' | 'pauses' | 'cancel';

/** Pause between two notifications, ms. */
const GATHER_MS = 10;
/** Maximum number of attempts to send a notification that Postgres does not accept. */
const MAX_ATTEMPTS = 15;

export async function notify(knex: Knex, notice: Notice): Promise<void> {
  await knex.raw('select pg_notify(?, ?)', [TABLES.channel, notice]);
}

/** Sends notifications one at a time: under load one stands for many. One that Postgres does not accept is sent again. */
export class Notifier {
  private sending = false;
  private readonly due = new Set<Notice>();
  private readonly backoff = new Backoff({ base: 100, max: 5000 });

  constructor(private readonly knex: Knex) {}

  /** Does not wait for it. */
  notify(notice: Notice): void {
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
