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
 * Call with each new connection of a pool (`pool.afterCreate`). A connection on which Postgres refuses a write is then dropped
 * as soon as it is returned. A session that began on a standby, or while the database was set read-only, refuses writes as long
 * as it lasts, even when the server's name leads to one that accepts them.
 */
export function leaveIfReadOnly(connection: RawConnection): void {
  connection.connection?.on('errorMessage', ({ code }) => {
    if (code === READ_ONLY) connection.__knex__disposed = REFUSED_WRITE;
  });
}

/**
 * Call with each new connection of a pool. When a statement has exceeded its timeout, Postgres is then asked to cancel it.
 * Otherwise a statement that waits for a lock would hold a server process, until none is left for others.
 */
export function cancelAfterTimeout(connection: RawConnection): void {
  let disposed = connection.__knex__disposed;
  Object.defineProperty(connection, '__knex__disposed', {
    get: () => disposed,
    set: (reason: unknown) => {
      disposed = reason;
      if ((reason as Partial<Error> | undefined)?.name !== 'KnexTimeoutError') return;
      const load = import('./cancel-request');
      // While no descriptor is free, the module cannot be loaded. Then the statement runs on.
      void load.then(({ requestCancel }) => requestCancel(connection)).catch(() => undefined);
    },
  });
}
