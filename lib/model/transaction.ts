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
 */
export async function transaction<T>(work: (trx: Knex.Transaction) => PromiseLike<T>): Promise<T> {
  const parent = currentTransaction() ?? connected;
  if (!parent) throw new NotConnectedError('transaction() was called before boot() connected the database');
  let own: Knex.Transaction | undefined;
  const result = await parent.transaction((trx) => {
    own = trx;
    return ambient.run(trx, async () => work(trx));
  });
  if (own) await settled(own);
  return result;
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
