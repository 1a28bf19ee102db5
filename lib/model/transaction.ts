import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import { NotConnectedError } from '../core/errors';
import { onTransactionEnd, type Settlement, settled } from '../internals/transaction-end';
import { type Deferred, deferred } from '../support/deferred';

/** The async scope of one transaction. Work begun in it that nobody awaits may outlive it. */
interface Scope {
  readonly trx: Knex.Transaction;
  readonly around: Scope | undefined;
  /** true once it is committed (a savepoint: released), false once it is rolled back; undefined until that is known. */
  committed: boolean | undefined;
  /** Resolves with the same value. */
  readonly ended: Deferred<boolean>;
}

const ambient = new AsyncLocalStorage<Scope>();
let connected: Knex | undefined;
let reportLate: (model: string) => void = () => undefined;

/**
 * Sets the database of `transaction()`; `undefined` disconnects. The role calls it at boot and stop. A test may pass a
 * transaction of its own, in which those of the app are savepoints.
 * @param onLate called once for each model of which a query ran after the commit of the transaction it was begun in.
 */
export function connectTransactions(knex: Knex | undefined, onLate: (model: string) => void = () => undefined): void {
  const reported = new Set<string>();
  connected = knex;
  reportLate = (model) => {
    if (!reported.has(model)) onLate(model);
    reported.add(model);
  };
}

/** @returns the transaction in which the current code runs, if any. */
export function currentTransaction(): Knex.Transaction | undefined {
  let scope = ambient.getStore();
  while (scope?.committed) scope = scope.around;
  return scope?.trx.isCompleted() ? undefined : scope?.trx;
}

/**
 * For work that outlives its transaction because nobody awaited it.
 * @returns the outcome, once it is known for the transaction and the enclosing ones that have ended; undefined while
 * the transaction is open, and outside of one.
 */
export function endedTransaction(): Promise<'committed' | 'rolled back'> | undefined {
  const scope = ambient.getStore();
  return scope?.trx.isCompleted() ? awaitOutcome(scope) : undefined;
}

/**
 * For a query that outlives its transaction because nobody awaited it. After a commit it is reported to `onLate` and
 * runs on the pool.
 * @returns undefined for any other query. Rejects after a rollback, of which the query should have been part.
 */
export function lateQuery(model: string): Promise<void> | undefined {
  return endedTransaction()?.then((outcome) => {
    if (outcome === 'committed') return reportLate(model);
    throw new Error(
      `a query of ${model} was begun in a transaction that has been rolled back: await it inside transaction(), or run it where none is open`,
    );
  });
}

async function awaitOutcome(scope: Scope | undefined): Promise<'committed' | 'rolled back'> {
  if (!scope?.trx.isCompleted()) return 'committed';
  return (await scope.ended.promise) ? awaitOutcome(scope.around) : 'rolled back';
}

/** @returns the ambient transaction, or the pool. @param caller named in the error. @throws NotConnectedError before `boot`. */
export function databaseInUse(caller: string): Knex {
  const knex = currentTransaction() ?? connected;
  if (knex) return knex;
  throw new NotConnectedError(
    `${caller} was called in a process that is not connected: use catamount run or await connect(app)`,
  );
}

/**
 * Runs `work` in one database transaction, which is committed when it resolves and rolled back when it rejects. Queries
 * of `Model`s and calls of `performLater` inside join it by themselves. A nested transaction is a savepoint.
 * @throws whatever `work` throws; NotConnectedError before `boot`; Error if Postgres has rejected a statement and
 * `work` ignored that, since such a transaction cannot be committed; Error inside a transaction that has already been
 * rolled back.
 */
export async function transaction<T>(work: (trx: Knex.Transaction) => PromiseLike<T>): Promise<T> {
  if ((await endedTransaction()) === 'rolled back')
    throw new Error(
      'a transaction was begun in one that has been rolled back: await it inside transaction(), or begin it where none is open',
    );
  const parent = databaseInUse('transaction()');
  const around = ambient.getStore();
  let own: Scope | undefined;
  const end = (committed: boolean) => {
    if (!own) return;
    own.committed = committed;
    own.ended.resolve(committed);
  };
  const run = parent.transaction(async (trx) => {
    // knex calls us even if BEGIN or SAVEPOINT has failed, and then ignores our outcome: our writes would be kept.
    if (trx.isCompleted()) throw new Error('the transaction could not begin');
    own = { trx, around, committed: undefined, ended: deferred() };
    let refused: Error | undefined;
    trx.on('query-error', (error: Error) => {
      refused = error;
    });
    const result = await ambient.run(own, async () => work(trx));
    if (refused && !trx.isCompleted()) await checkUsable(trx, refused);
    return result;
  });
  const result = await run.catch((error: unknown) => {
    end(false);
    throw error;
  });
  end(true);
  if (own) await settled((own as Scope).trx);
  return result;
}

/**
 * Checks that the transaction is still usable after a failed statement. If it is not, Postgres would answer COMMIT with a
 * rollback, which knex takes for success. Releasing a savepoint would leave the enclosing transaction aborted. A statement that
 * failed within a savepoint of its own does no harm.
 */
async function checkUsable(trx: Knex.Transaction, refused: Error): Promise<void> {
  await trx.raw('select 1').catch(() => {
    throw new Error(`a statement has failed, so the transaction is rolled back: ${refused.message}`, {
      cause: refused,
    });
  });
}

/**
 * Calls `listener` with the outcome of `trx`, once that of its outermost transaction is known. A test's own transaction never
 * commits, so it does not count. If `trx` is that transaction, the listener is called at once.
 * @returns the listener's result in that case.
 */
export function onOutcome(trx: Knex.Transaction, listener: Settlement): unknown {
  if (trx === connected) return listener(true);
  onTransactionEnd(trx, listener, connected);
  return undefined;
}
