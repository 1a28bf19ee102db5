import createKnex, { type Knex } from 'knex';
import { useSchema } from '../core/config';
import type { Events } from '../core/events';
import { currentContext } from '../core/execution-context';
import type { PoolStats } from '../core/process-metrics';
import { postgresTls, withTlsAdvice } from '../core/tls';
import { tracing } from '../core/tracing';
import { cancelAfterTimeout, leaveIfReadOnly, REFUSED_WRITE } from '../internals/knex-connections';
import { putReasonFirst } from '../internals/knex-errors';
import { sendTogether } from '../internals/pg-pipeline';
import type { Deadline } from '../support/deadline';
import { OutageNotices } from '../support/outage-notices';
import type { Service } from '../support/service';
import { traceStatements } from './statement-spans';
// It must load pg, with its workaround, before knex loads it without.
import '../internals/pg';

/** Maximum connections of a process outside a tree, for which there is no setting. */
const POOL_MAX = 3;

/** Timeout of the wait for a connection from the pool, ms. */
const ACQUIRE_TIMEOUT_MS = 10_000;

/** Errors hold the statement without its values, which may be anybody's. */
const COMMON = { client: 'pg', acquireConnectionTimeout: ACQUIRE_TIMEOUT_MS, compileSqlOnError: false } as const;

/** The methods that we use of knex's pool, for which knex declares no type. */
interface Pool {
  numUsed(): number;
  numFree(): number;
  numPendingAcquires(): number;
}

/** The part of knex's events that we read. */
interface Statement {
  readonly __knexQueryUid: string;
}

export class Database implements Service {
  readonly name = 'database';
  readonly knex: Knex;
  private readonly poolMax: number;
  private readonly log: Knex.Logger;

  constructor(
    readonly url: string,
    options: {
      readonly production: boolean;
      readonly events: Events;
      readonly poolMax?: number;
      /** The schema of Catamount's tables in this process; undefined leaves it unchanged. */
      readonly schema?: string;
    },
  ) {
    if (options.schema !== undefined) useSchema(options.schema);
    this.poolMax = options.poolMax ?? POOL_MAX;
    const outage = { broken: new OutageNotices(), refused: new OutageNotices() };
    this.log = errorLogger(options.events, outage);
    this.knex = createKnex({
      ...COMMON,
      connection: connectionSettings(url, options.production),
      pool: { min: 0, max: this.poolMax, idleTimeoutMillis: 30_000, afterCreate: afterCreate(outage) },
      log: this.log,
    });
    putReasonFirst(this.knex);
  }

  /**
   * This pool with a time limit, for use while somebody waits. When a statement is not answered within `ms`, it fails, Postgres
   * is asked to cancel it, and the pool drops its connection. A Postgres that accepts statements and never answers would
   * otherwise hold the connection forever.
   */
  withTimeout(ms: number): Knex {
    const limited = createKnex({ ...COMMON, log: this.log });
    putReasonFirst(limited);
    // Without connection settings it has made no pool of its own. Only `stop` ends the shared one.
    Object.assign(limited.client, { pool: this.knex.client.pool });
    limited.on('start', (builder: Pick<Knex.QueryBuilder, 'timeout'>) => builder.timeout(ms));
    return limited;
  }

  /** Counts the statements of each request in its context, from now on. */
  tallyStatements(): void {
    const begun = new Map<string, number>();
    this.knex.on('query', ({ __knexQueryUid: id }: Statement) => {
      if (currentContext().sql) begun.set(id, performance.now());
    });
    const ended = ({ __knexQueryUid: id }: Statement) => {
      const since = begun.get(id);
      if (since === undefined) return;
      begun.delete(id);
      const { sql } = currentContext();
      if (!sql) return;
      sql.count++;
      sql.ms += performance.now() - since;
    };
    this.knex.on('query-response', (_response, statement: Statement) => ended(statement));
    this.knex.on('query-error', (_error, statement: Statement) => ended(statement));
  }

  poolUse(): PoolStats {
    // knex drops its pool in `destroy()`.
    const pool: Pool | undefined = this.knex.client.pool;
    const [used, idle, waiting] = pool ? [pool.numUsed(), pool.numFree(), pool.numPendingAcquires()] : [0, 0, 0];
    return { used, idle, waiting, max: this.poolMax };
  }

  async start(): Promise<void> {
    const tracer = tracing();
    if (tracer) traceStatements(this.knex, this.url, tracer);
  }

  async stop(deadline: Deadline): Promise<void> {
    await deadline.wait(this.knex.destroy());
  }

  /** Rejects unless Postgres answers within `ms`. Default 1000. */
  async ping(ms = 1000): Promise<void> {
    await this.knex.raw('select 1').timeout(ms);
  }
}

type Connection = Parameters<typeof leaveIfReadOnly>[0] & Parameters<typeof sendTogether>[0];

/**
 * An outage gives two kinds of errors, each reported once: a connection breaks, or a new one is refused. Only the refusal names
 * the server.
 */
type Outage = Readonly<Record<'broken' | 'refused', OutageNotices>>;

function afterCreate(outage: Outage) {
  return (connection: Connection, done: (error: null, connection: Connection) => void): void => {
    for (const notices of Object.values(outage)) notices.over();
    leaveIfReadOnly(connection);
    cancelAfterTimeout(connection);
    sendTogether(connection);
    done(null, connection);
  };
}

/** Reports connections that fail or break while idle. knex cannot throw these errors, and would print them instead. */
function errorLogger(events: Events, outage: Outage): Knex.Logger {
  const report = (message: unknown) => {
    const [line = ''] = String(message).split('\n');
    if (line.endsWith(REFUSED_WRITE) || line.endsWith('Error: aborted')) return; // The latter: the pool is closing.
    const isRefused = line.startsWith('Acquire connection error:');
    const notices = isRefused ? outage.refused : line.startsWith('Connection Error:') ? outage.broken : undefined;
    const lasting = notices ? notices.failed() : '';
    if (lasting === undefined) return;
    const { message: reason } = withTlsAdvice(new Error(line), 'Postgres');
    events.emit('database.error', { error: new Error(reason + lasting) });
  };
  return { warn: report, error: report, deprecate: report, debug: () => undefined };
}

export interface ConnectionSettings {
  readonly connectionString: string;
  readonly ssl: false | { readonly rejectUnauthorized: boolean };
  readonly application_name: string;
  readonly connectionTimeoutMillis: number;
  readonly keepAlive: boolean;
}

/** Removes `sslmode` from the URL, since pg would read `require` as `verify-full`; see core/tls.ts. */
export function connectionSettings(url: string, production: boolean): ConnectionSettings {
  const parsed = new URL(url);
  const mode = postgresTls(url, production);
  parsed.searchParams.delete('sslmode');
  return {
    connectionString: parsed.toString(),
    ssl: mode === 'off' ? false : { rejectUnauthorized: mode === 'checked' },
    application_name: 'catamount',
    connectionTimeoutMillis: 5000,
    keepAlive: true,
  };
}
