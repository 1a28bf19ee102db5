import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import { NotConnectedError } from '../core/errors';
import { onTransactionEnd, type Settlement, settled } from '../internals/knex';
import { type Deferred, deferred } from '../support/async';

/** The async scope of one transaction. Work that was begun in it and not awaited may go on after its end. */
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
let tellLate: (model: string) => void = () => undefined;

/**
 * Sets the database of `transaction()`; `undefined` disconnects. The role calls it at boot and stop. A test may pass a
 * transaction of its own, in which those of the app are savepoints.
 * @param onLate called, once for each model, for a query that runs after the commit of the transaction it was begun in.
 */
export function connectTransactions(knex: Knex | undefined, onLate: (model: string) => void = () => undefined): void {
  const reported = new Set<string>();
  connected = knex;
  tellLate = (model) => {
    if (!reported.has(model)) onLate(model);
    reported.add(model);
  };
}

/** Returns the transaction that the current code runs in, if any. */
export function currentTransaction(): Knex.Transaction | undefined {
  let scope = ambient.getStore();
  while (scope?.committed) scope = scope.around;
  return scope?.trx.isCompleted() ? undefined : scope?.trx;
}

/**
 * For work that outlives its transaction, because `transaction()` did not wait for it. Returns undefined while the
 * transaction is open, and outside of one.
 * @returns the outcome, once it is known for the transaction and those around it, as far as they have ended.
 */
export function endedTransaction(): Promise<'committed' | 'rolled back'> | undefined {
  const scope = ambient.getStore();
  return scope?.trx.isCompleted() ? outcomeOf(scope) : undefined;
}

/**
 * For a query that outlives its transaction, because `transaction()` did not wait for it. After a commit it runs on the
 * pool and is reported to `onLate`. Returns undefined for any other query.
 * @throws Error (rejects) after a rollback, which the query should have been part of.
 */
export function lateQuery(model: string): Promise<void> | undefined {
  return endedTransaction()?.then((outcome) => {
    if (outcome === 'committed') return tellLate(model);
    throw new Error(
      `a query of ${model} was begun in a transaction that has been rolled back: await it inside transaction(), or run it where none is open`,
    );
  });
}

async function outcomeOf(scope: Scope | undefined): Promise<'committed' | 'rolled back'> {
  if (!scope?.trx.isCompleted()) return 'committed';
  return (await scope.ended.promise) ? outcomeOf(scope.around) : 'rolled back';
}

/**
 * Runs `work` in one database transaction: commits when it resolves, rolls back when it rejects. Queries of `Model`s
 * and `performLater` inside join it by themselves. A nested transaction is a savepoint.
 * @throws whatever `work` throws; NotConnectedError before `boot`; Error when Postgres has rejected a statement and
 * `work` ignored that, since nothing of the transaction can be kept then; Error inside a transaction that has been
 * rolled back already.
 */
export async function transaction<T>(work: (trx: Knex.Transaction) => PromiseLike<T>): Promise<T> {
  if ((await endedTransaction()) === 'rolled back')
    throw new Error(
      'a transaction was begun in one that has been rolled back: await it inside transaction(), or begin it where none is open',
    );
  const parent = currentTransaction() ?? connected;
  if (!parent)
    throw new NotConnectedError(
      'transaction() was called in a process that is not connected: use catamount run or await connect(app)',
    );
  const around = ambient.getStore();
  let own: Scope | undefined;
  const end = (committed: boolean) => {
    if (!own) return;
    own.committed = committed;
    own.ended.resolve(committed);
  };
  const run = parent.transaction(async (trx) => {
    // knex calls us even when BEGIN or SAVEPOINT has failed, and then ignores our outcome: our writes would be kept.
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
 * Checks that the transaction is still usable after a failed statement. If not, Postgres would answer COMMIT with a
 * rollback, which knex takes for success, and a released savepoint would leave the transaction around it aborted. A
 * statement that failed within a savepoint of its own does no harm.
 */
async function checkUsable(trx: Knex.Transaction, refused: Error): Promise<void> {
  await trx.raw('select 1').catch(() => {
    throw new Error(`a statement has failed, so the transaction is rolled back: ${refused.message}`, {
      cause: refused,
    });
  });
}

/**
 * Calls `listener` with the outcome of `trx`, once that of its outermost transaction is known. A test's own transaction
 * that never commits does not count as one; if `trx` is that transaction, the listener is called at once.
 * @returns the listener's result in that case.
 */
export function onOutcome(trx: Knex.Transaction, listener: Settlement): unknown {
  if (trx === connected) return listener(true);
  onTransactionEnd(trx, listener, connected);
  return undefined;
}
