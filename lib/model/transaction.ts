import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import { NotConnectedError } from '../core/errors';
import { onSettled, type Settlement, settled } from './settlement';

const ambient = new AsyncLocalStorage<Knex.Transaction>();
let connected: Knex | undefined;

/**
 * Gives `transaction()` its database; `undefined` takes it away again. Called by the role at boot and stop; by a test
 * also with a transaction of its own, in which those of the app are then savepoints.
 */
export function connectTransactions(knex: Knex | undefined): void {
  connected = knex;
}

/** The transaction that the code at hand runs in, or undefined. */
export function currentTransaction(): Knex.Transaction | undefined {
  const trx = ambient.getStore();
  return trx?.isCompleted() ? undefined : trx;
}

/**
 * Runs `work` in one database transaction: commits when it resolves, rolls back when it rejects. Queries of `Model`s
 * and `performLater` inside take part by themselves. A transaction inside another is a savepoint.
 * @throws what `work` throws; Error when Postgres has refused a statement, although `work` took no notice: then nothing
 * of it can be kept.
 */
export async function transaction<T>(work: (trx: Knex.Transaction) => PromiseLike<T>): Promise<T> {
  const parent = currentTransaction() ?? connected;
  if (!parent) throw new NotConnectedError('transaction() was called before boot() connected the database');
  let own: Knex.Transaction | undefined;
  const result = await parent.transaction(async (trx) => {
    // knex calls us even when BEGIN or SAVEPOINT has failed, and then heeds us no more: what we wrote would stay.
    if (trx.isCompleted()) throw new Error('the transaction could not begin');
    own = trx;
    let refused: Error | undefined;
    trx.on('query-error', (error: Error) => {
      refused = error;
    });
    const result = await ambient.run(trx, async () => work(trx));
    if (refused && !trx.isCompleted()) await checkUsable(trx, refused);
    return result;
  });
  if (own) await settled(own);
  return result;
}

/**
 * Postgres would answer COMMIT with a rollback that knex takes for a success, and would leave the transaction around a
 * savepoint in ruins. A statement that failed within a savepoint of its own, though, is made good.
 */
async function checkUsable(trx: Knex.Transaction, refused: Error): Promise<void> {
  await trx.raw('select 1').catch(() => {
    throw new Error(`a statement has failed, so the transaction is rolled back: ${refused.message}`, {
      cause: refused,
    });
  });
}

/**
 * Tells `listener` what becomes of `trx`, up to its outermost one. A test's own that never commits counts as none: then
 * it is told at once. @returns what it returned in that case.
 */
export function onOutcome(trx: Knex.Transaction, listener: Settlement): unknown {
  if (trx === connected) return listener(true);
  onSettled(trx, listener, connected);
  return undefined;
}
