import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import { NotConnectedError } from '../core/errors';
import { onTransactionEnd, type Settlement, settled } from '../internals/knex';
import { type Deferred, deferred } from '../support/async';

/** What runs in a transaction, and what that has begun and not waited for, which may go on behind its end. */
interface Scope {
  readonly trx: Knex.Transaction;
  readonly around: Scope | undefined;
  /** Whether it was committed, or as a savepoint released; undefined before that is known. */
  committed: boolean | undefined;
  /** The same, once it is known. */
  readonly ended: Deferred<boolean>;
}

const ambient = new AsyncLocalStorage<Scope>();
let connected: Knex | undefined;
let tellLate: (model: string) => void = () => undefined;

/**
 * Gives `transaction()` its database; `undefined` takes it away again. Called by the role at boot and stop; by a test
 * also with a transaction of its own, in which those of the app are then savepoints.
 * @param onLate told, once for each model, of a query behind the COMMIT of the transaction that it was begun in.
 */
export function connectTransactions(knex: Knex | undefined, onLate: (model: string) => void = () => undefined): void {
  const told = new Set<string>();
  connected = knex;
  tellLate = (model) => {
    if (!told.has(model)) onLate(model);
    told.add(model);
  };
}

/** The transaction that the code at hand runs in, or undefined. */
export function currentTransaction(): Knex.Transaction | undefined {
  let scope = ambient.getStore();
  while (scope?.committed) scope = scope.around;
  return scope?.trx.isCompleted() ? undefined : scope?.trx;
}

/**
 * For work whose transaction is over, since `transaction()` did not wait for it; undefined where it is not, or where the
 * work is of no transaction.
 * @returns once it is known whether all of it stays so far.
 */
export function endedTransaction(): Promise<'committed' | 'rolled back'> | undefined {
  const scope = ambient.getStore();
  return scope?.trx.isCompleted() ? outcomeOf(scope) : undefined;
}

/**
 * For a query of work whose transaction is over, since `transaction()` did not wait for it; undefined where it is not.
 * Behind a commit it goes to the pool, and the log is told. @throws Error behind a rollback, which it was to share.
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
 * and `performLater` inside take part by themselves. A transaction inside another is a savepoint.
 * @throws what `work` throws; Error when Postgres has refused a statement, although `work` took no notice: then nothing
 * of it can be kept.
 */
export async function transaction<T>(work: (trx: Knex.Transaction) => PromiseLike<T>): Promise<T> {
  const parent = currentTransaction() ?? connected;
  if (!parent) throw new NotConnectedError('transaction() was called before boot() connected the database');
  const around = ambient.getStore();
  let own: Scope | undefined;
  const end = (committed: boolean) => {
    if (!own) return;
    own.committed = committed;
    own.ended.resolve(committed);
  };
  const run = parent.transaction(async (trx) => {
    // knex calls us even when BEGIN or SAVEPOINT has failed, and then heeds us no more: what we wrote would stay.
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
  onTransactionEnd(trx, listener, connected);
  return undefined;
}
