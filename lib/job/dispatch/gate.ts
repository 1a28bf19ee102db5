import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { ORIGIN_SQL } from '../row/installation';

/** How long it is known that this database is a copy, ms: an operator may adopt its jobs. */
const COPY_MS = 1000;

export interface GateOptions {
  readonly knex: Knex;
  /** Called once, until the jobs are adopted, when this database is a copy of another one. */
  readonly onCopy: (origin: { readonly here: string; readonly made: string | null }) => void;
}

interface Row {
  readonly here: string;
  readonly made: string | null;
  readonly paused: readonly string[];
}

/**
 * Knows which jobs may be fetched: none of a paused queue, and none of a database that is a copy, since the jobs belong to the
 * original. Each claim decides that for itself in Postgres. The gate saves claims that would find nothing, and says why they
 * do.
 */
export class Gate {
  /** Queues that are paused, as last read. */
  paused: ReadonlySet<string> = new Set();
  /** Where this database is; undefined while its jobs must not run here, and before that is known. */
  origin: string | undefined;
  /** true: nothing has changed since it was read, as far as is known. */
  isFresh = false;
  /** Counts the calls of `forget`. */
  private changes = 0;
  private reading: Promise<void> | undefined;
  private reported = false;
  private readAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: GateOptions) {}

  /** Call when queues may have been paused or resumed, or Postgres may be another server by now. */
  forget(): void {
    this.changes++;
    this.isFresh = false;
  }

  /** Reads again what may have changed. Callers share one read. @throws errors of Postgres. */
  async refresh(): Promise<void> {
    const isOpen = this.origin !== undefined;
    if (this.isFresh && (isOpen || performance.now() - this.readAt < COPY_MS)) return;
    this.reading ??= this.read().finally(() => {
      this.reading = undefined;
    });
    await this.reading;
  }

  private async read(): Promise<void> {
    const { changes } = this;
    const { knex, onCopy } = this.options;
    const { rows } = await knex.raw<{ rows: Row[] }>(
      `select (select ${ORIGIN_SQL}) as here, (select origin from ${TABLES.installation}) as made,
         array(select queue from ${TABLES.pauses}) as paused`,
    );
    const { here = '', made = null, paused = [] } = rows[0] ?? {};
    this.paused = new Set(paused);
    this.origin = made === here ? here : undefined;
    this.readAt = performance.now();
    // A change that came meanwhile may have been read, or not.
    this.isFresh = changes === this.changes;
    if (made !== here && !this.reported) onCopy({ here, made });
    this.reported = made !== here;
  }
}
