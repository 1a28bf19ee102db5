import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import { onOutcome } from '../../model/transaction';
import { CHANNEL } from './outbox';

/** After a note the next one waits for this long, ms. Relays gather rows as well. */
const GATHER_MS = 10;

/**
 * Tells the relays of new rows once they are committed. A note within the transaction would be one round trip less, but
 * Postgres lets transactions with a note commit one at a time only, however long its disk takes for each. So it is sent
 * by itself, at once where it is quiet, and one for many where it is not. A note that is lost with this process costs a
 * relay's poll.
 */
export class OutboxNotifier {
  private sending = false;
  private again = false;

  constructor(private readonly knex: Knex) {}

  /** @param knex what the rows were inserted by: a transaction is waited for. */
  inserted(knex: Knex): void {
    if (knex.isTransaction) onOutcome(knex as Knex.Transaction, (committed) => void (committed && this.note()));
    else this.note();
  }

  private note(): void {
    this.again = true;
    if (!this.sending) void this.send();
  }

  private async send(): Promise<void> {
    this.sending = true;
    while (this.again) {
      this.again = false;
      // Without Postgres there is nothing to copy either; the relay looks when it is back.
      await this.knex.raw("select pg_notify(?, '')", [CHANNEL]).catch(() => undefined);
      await wait(GATHER_MS);
    }
    this.sending = false;
  }
}
