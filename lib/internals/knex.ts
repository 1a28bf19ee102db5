import type { Knex } from 'knex';
import { truncate } from '../support/text-table';
import type { ServerSession } from './cancel-request';

/** The pool's reason to drop a connection. knex logs it, although the refused statement has reported it already. */
export const REFUSED_WRITE = 'it refuses writes';

/** SQLSTATE of a statement that writes on a standby, or in a read-only transaction. */
const READ_ONLY = '25006';

interface RawConnection extends ServerSession {
  /** The protocol connection of a pg client, which other drivers do not have. */
  readonly connection?: { on(event: 'errorMessage', listener: (message: { readonly code?: string }) => void): unknown };
  /** knex takes a connection that has this out of its pool instead of using it again. */
  __knex__disposed?: unknown;
}

/**
 * Call with each new connection of a pool (`pool.afterCreate`): one on which Postgres refuses a write is dropped as soon
 * as it is returned. A session that began on a standby, or while the database was set read-only, refuses writes as long
 * as it lasts, even when the server's name leads to one that accepts them.
 */
export function leaveIfReadOnly(connection: RawConnection): void {
  connection.connection?.on('errorMessage', ({ code }) => {
    if (code === READ_ONLY) connection.__knex__disposed = REFUSED_WRITE;
  });
}

/**
 * Call with each new connection of a pool: when a statement has exceeded its timeout, Postgres is asked to cancel it. It
 * would otherwise run on at the server: if it waits for a lock, it holds a server process, until none is left for others.
 */
export function cancelAfterTimeout(connection: RawConnection): void {
  let disposed = connection.__knex__disposed;
  Object.defineProperty(connection, '__knex__disposed', {
    get: () => disposed,
    set: (reason: unknown) => {
      disposed = reason;
      if ((reason as Partial<Error> | undefined)?.name !== 'KnexTimeoutError') return;
      const load = import('./cancel-request');
      // Its file cannot be read while no descriptor is free: then the statement runs on.
      void load.then(({ requestCancel }) => requestCancel(connection)).catch(() => undefined);
    },
  });
}

/** The longest statement in the message of an error, characters. */
const MAX_STATEMENT = 500;

/**
 * Call with each knex, whose `compileSqlOnError` must be false. knex puts the statement before the message of Postgres,
 * which whoever shows one line, or the first letters, would then cut off. This puts it after the message.
 */
export function putReasonFirst(knex: Knex): void {
  knex.on('query-error', (error: Error, { sql }: { readonly sql: string }) => {
    const before = `${sql} - `;
    if (!error.message.startsWith(before)) return;
    const statement = truncate(sql.replace(/\s+/g, ' ').trim(), MAX_STATEMENT);
    error.message = `${error.message.slice(before.length)} (in: ${statement})`;
  });
}

/**
 * Called with whether the work of a transaction stays. `transaction()` awaits the result, and rejects if it rejects.
 */
export type Settlement = (committed: boolean) => unknown;

const listening = new WeakMap<Knex.Transaction, Settlement[]>();
const underway = new WeakMap<Knex.Transaction, unknown[]>();

/**
 * Calls `listener` once, as soon as it is certain whether the work done in `trx` stays: when the outermost transaction
 * around it has committed, or when it or any transaction around it is rolled back. knex's own `executionPromise` cannot
 * say that: it resolves when a savepoint is released, which the outer transaction may still roll back, and also after
 * `trx.rollback()`; and it ignores that Postgres replies to COMMIT with ROLLBACK after a failed statement.
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

/** Resolves when the work that listeners began is done; rejects if any of it rejects. */
export async function settled(trx: Knex.Transaction): Promise<void> {
  await Promise.all(underway.get(trx) ?? []);
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
