import type { Unready } from '../../cluster/status';
import { codeOf } from '../../core/errors';
import { CachedProbe } from '../../support/cached-probe';
import { findings, type PostgresContext } from '../checks/all-checks';

/** Maximum age of what the checks have found, and time limit of them together, ms. */
const PROBE = { freshMs: 1000, limitMs: 3000 };
/** Names that a sentence lists before it counts the rest. */
const LISTED = 3;

interface FirstReadinessOptions {
  readonly postgres: PostgresContext;
  /** true once a job processor of this tree has booted, or where it has none. */
  readonly jobsBooted: () => boolean;
  /** Called when this process is ready for the first time. */
  readonly onServed: () => void;
}

/**
 * Decides whether a tree in production is ready for the first time. Until then a platform that asks `/ready` keeps the old
 * release. Afterwards the same faults only degrade the tree, since taking a web that has served out of service would fix
 * nothing. Each worker decides until one has been ready. Then the others are, too, and their successors.
 */
export class FirstReadiness {
  private served = false;
  /** The latest answer of `look`. */
  latest: Unready | null = null;
  private readonly found = new CachedProbe(() => findings('postgres', 'ready', this.options.postgres), PROBE);

  constructor(private readonly options: FirstReadinessOptions) {}

  /** Call when another worker of the tree has been ready. */
  treeServed(): void {
    this.served = true;
  }

  /** @returns why no process of the tree has been ready yet, as far as this one knows; null once one has been. */
  async look(): Promise<Unready | null> {
    this.latest = this.served ? null : await this.reasonNow();
    return this.latest;
  }

  /** @returns the reason as a sentence that strangers may read at `/ready`; undefined once a process has been ready. */
  async reason(): Promise<string | undefined> {
    const unready = await this.look();
    return unready ? explain(unready) : undefined;
  }

  private async reasonNow(): Promise<Unready | null> {
    const found = await this.found.get();
    // A failed read is no reason to be ready.
    if (!found.ok) return { cause: 'unread', error: codeOf(found.error) };
    const { postgres, jobsBooted } = this.options;
    const names = postgres.config.allowPending ? [] : found.value.flatMap(({ subject }) => subject ?? []);
    if (names.length > 0) return { cause: 'migrations', names };
    if (found.value.some(({ id }) => id === 'writes')) return { cause: 'writes' };
    if (!jobsBooted()) return { cause: 'jobs' };
    if (!this.served) this.options.onServed();
    this.served = true;
    return null;
  }
}

async function explain(unready: Unready): Promise<string> {
  const { pendingText, WRITES_REFUSED } = await import('../checks/postgres');
  switch (unready.cause) {
    case 'migrations':
      return `${pendingText(unready.names, LISTED)} Run catamount db migrate, or start with --allow-pending.`;
    case 'writes':
      return WRITES_REFUSED;
    case 'jobs':
      return 'The job processor has not booted since the start: its log says why.';
    case 'unread':
      return 'Postgres does not say whether migrations are pending, or whether it accepts writes.';
  }
}
