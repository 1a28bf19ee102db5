import type { Knex } from 'knex';
import type { Unready } from '../../cluster/status';
import { codeOf } from '../../core/errors';
import { type Migrations, pendingMigrations } from '../../model/migrations';
import { CachedProbe } from '../../support/cached-probe';
import { pluralize } from '../../support/text';

/** Maximum age of the results about migrations and writes, ms. */
const FRESH_MS = 1000;
/** Names that a sentence lists before it counts the rest. */
const LISTED = 3;

export const WRITES_REFUSED = 'Postgres refuses writes: it is a standby, or set read-only.';

interface FirstReadinessOptions {
  readonly knex: Knex;
  readonly migrations: Migrations;
  /** true: pending migrations do not matter (`--allow-pending`). */
  readonly allowPending: boolean;
  /** true once a job processor of this tree has booted, or where it has none. */
  readonly jobsBooted: () => boolean;
  /** Called when this process is ready for the first time. */
  readonly onServed: () => void;
}

/**
 * Decides whether a tree in production is ready for the first time: a platform that asks `/ready` keeps the old release
 * as long as it is not. Afterwards the same faults only degrade it, since taking a web that has served out of service
 * would fix nothing. Each worker decides until one has been ready; then the others are, too, and their successors.
 */
export class FirstReadiness {
  private served = false;
  /** The latest answer of `look`. */
  latest: Unready | null = null;
  private readonly pending: CachedProbe<readonly string[]>;
  private readonly readOnly: CachedProbe<boolean>;

  constructor(private readonly options: FirstReadinessOptions) {
    const { knex, migrations } = options;
    const probe = { freshMs: FRESH_MS };
    this.pending = new CachedProbe(() => pendingMigrations(knex, migrations), probe);
    this.readOnly = new CachedProbe(async () => (await import('../../model/read-only')).refusesWrites(knex), probe);
  }

  /** Another worker of the tree has been ready. */
  treeServed(): void {
    this.served = true;
  }

  /** @returns why no process of the tree has been ready yet, as far as this one knows; null once one has been. */
  async look(): Promise<Unready | null> {
    this.latest = this.served ? null : await this.reasonNow();
    return this.latest;
  }

  /** The same as a sentence that strangers may read at `/ready`; undefined once one has been. */
  async reason(): Promise<string | undefined> {
    const unready = await this.look();
    return unready ? textOf(unready) : undefined;
  }

  private async reasonNow(): Promise<Unready | null> {
    const { allowPending, jobsBooted } = this.options;
    const pending = allowPending ? undefined : await this.pending.get();
    if (pending?.ok && pending.value.length > 0) return { cause: 'migrations', names: pending.value };
    const readOnly = await this.readOnly.get();
    if (readOnly.ok && readOnly.value) return { cause: 'writes' };
    // A failed read is no reason to be ready.
    for (const read of [pending, readOnly])
      if (read?.ok === false) return { cause: 'unread', error: codeOf(read.error) };
    if (!jobsBooted()) return { cause: 'jobs' };
    if (!this.served) this.options.onServed();
    this.served = true;
    return null;
  }

  /** @returns true while Postgres answers and is known to refuse writes. */
  async refusesWrites(): Promise<boolean> {
    const answer = await this.readOnly.get();
    return answer.ok && answer.value;
  }
}

function textOf(unready: Unready): string {
  switch (unready.cause) {
    case 'migrations':
      return pendingText(unready.names);
    case 'writes':
      return WRITES_REFUSED;
    case 'jobs':
      return 'The job processor has not booted since the start: its log says why.';
    case 'unread':
      return 'Postgres does not say whether migrations are pending, or whether it accepts writes.';
  }
}

function pendingText(names: readonly string[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  const list = `${names.slice(0, LISTED).join(', ')}${more}`;
  const verb = names.length === 1 ? 'has' : 'have';
  return `${pluralize(names.length, 'migration')} ${verb} not run: ${list}. Run catamount migrate, or start with --allow-pending.`;
}
