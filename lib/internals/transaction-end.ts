import type { Knex } from 'knex';

/**
 * Called with true once the work of a transaction is committed, with false once it is lost. `transaction()` awaits the result, and
 * rejects if it rejects.
 */
export type Settlement = (committed: boolean) => unknown;

const listening = new WeakMap<Knex.Transaction, Settlement[]>();
const underway = new WeakMap<Knex.Transaction, unknown[]>();

/**
 * Calls `listener` once, as soon as it is certain whether the work done in `trx` stays: when the outermost transaction around
 * it has committed, or when it or any transaction around it is rolled back.
 *
 * knex's own `executionPromise` cannot say that. It resolves when a savepoint is released, which the outer transaction may
 * still roll back. It resolves after `trx.rollback()`, too. And it ignores that Postgres replies to COMMIT with ROLLBACK after
 * a failed statement.
 * @param root a transaction that counts as the database itself, for tests that run in one that never commits.
 * @throws Error when the transaction is over.
 */
export function onTransactionEnd(trx: Knex.Transaction, listener: Settlement, root?: Knex | undefined): void {
  if (trx.isCompleted()) throw new Error('the transaction is over: what is done in it now would be lost');
  listen(trx, (committed) => {
    const outer = trx.parentTransaction as Knex.Transaction | undefined;
    if (!committed || !outer || outer === root) keep(trx, listener(committed));
    else if (outer.isCompleted()) keep(trx, listener(false));
    else onTransactionEnd(outer, listener, root);
  });
}

/** Waits until all work that listeners began is done. Then it rejects if any of it has rejected. */
export async function settled(trx: Knex.Transaction): Promise<void> {
  const work = underway.get(trx) ?? [];
  await Promise.allSettled(work);
  await Promise.all(work);
}

function keep(trx: Knex.Transaction, result: unknown): void {
  if (!(result instanceof Promise)) return;
  const list = underway.get(trx) ?? [];
  underway.set(trx, list);
  list.push(result);
}

function listen(trx: Knex.Transaction, listener: Settlement): void {
  const listeners = listening.get(trx) ?? watch(trx);
  listeners.push(listener);
}

/** knex ends every transaction by these two methods, so both are wrapped. */
function watch(trx: Knex.Transaction): Settlement[] {
  const listeners: Settlement[] = [];
  listening.set(trx, listeners);
  const { commit, rollback } = trx;
  const settle = (committed: boolean) => {
    for (const listener of listeners.splice(0)) listener(committed);
  };
  Object.assign(trx, {
    commit: async (value?: unknown) => {
      const answer: unknown = await commit.call(trx, value);
      settle(isKept(answer));
      return answer;
    },
    rollback: async (error?: unknown) => {
      try {
        return (await rollback.call(trx, error)) as unknown;
      } finally {
        settle(false);
      }
    },
  });
  return listeners;
}

/** Postgres's reply is RELEASE for a savepoint, ROLLBACK after a failed statement; there is none if COMMIT failed. */
function isKept(answer: unknown): boolean {
  const command = (answer as { response?: { command?: string } } | undefined)?.response?.command;
  return command === 'COMMIT' || command === 'RELEASE';
}
