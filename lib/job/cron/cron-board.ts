import type { Knex } from 'knex';
import { UserError } from '../../core/errors';
import { closest } from '../../support/closest';
import type { Audit } from '../set/sources';
import type { CatchUpPolicy } from './catch-up';
import { type CronState, change, readStates, remove } from './cron-table';
import { Schedule } from './schedule';

/** A recurring job, for those who look. */
export interface CronListing {
  readonly name: string;
  readonly class: string;
  /** The expression. */
  readonly spec: string;
  /** IANA name. */
  readonly timeZone: string;
  readonly catchUp: CatchUpPolicy;
  readonly paused: boolean;
  /** false: no processor has known it for a day, so that its class was probably removed. After a week it is deleted. */
  readonly known: boolean;
  /** By the expression; null when there will be none, because it is paused or not known, say. */
  readonly nextTick: Date | null;
  /** The latest tick that was enqueued. */
  readonly lastTick: Date | null;
  /** The id of the job that was enqueued last. */
  readonly lastEnqueuedId: string | null;
  /** Ticks that were not enqueued on time, since the beginning, and how many of them were caught up. */
  readonly missed: number;
  readonly caughtUp: number;
}

/** Recurring jobs, seen and steered from whatever process: it needs Postgres alone. The processors follow at once. */
export class CronBoard {
  /** @param audit where its changes are told. Default: nowhere. */
  constructor(
    private readonly knex: Knex,
    private readonly audit?: Audit,
  ) {}

  /** All of them, by name. */
  async list(): Promise<CronListing[]> {
    return (await readStates(this.knex)).map(listing);
  }

  /**
   * Has it enqueued at once, beside its times, even while it is paused. Asking twice before a processor (one must be
   * alive that knows it) comes to it is asking once.
   * @throws UserError for an unknown name.
   */
  async runNow(name: string): Promise<void> {
    await this.change(name, 'run');
  }

  /** Its ticks are swallowed from now on. @throws UserError for an unknown name. */
  async pause(name: string): Promise<void> {
    await this.change(name, 'pause');
  }

  /** Ends a pause; what it swallowed is not caught up. @throws UserError for an unknown name. */
  async resume(name: string): Promise<void> {
    await this.change(name, 'resume');
  }

  /** Deletes one; a processor that still declares it brings it back within a minute, as new. @throws UserError for an unknown name. */
  async forget(name: string): Promise<void> {
    if (!(await remove(this.knex, name))) throw await this.unknown(name);
    this.tell('forget', name);
  }

  private async change(name: string, what: 'pause' | 'resume' | 'run'): Promise<void> {
    if (!(await change(this.knex, name, what))) throw await this.unknown(name);
    this.tell(what, name);
  }

  private tell(action: 'pause' | 'resume' | 'run' | 'forget', name: string): void {
    this.audit?.events.emit('operator.cron', { action, name, via: this.audit.via });
  }

  private async unknown(name: string): Promise<UserError> {
    const names = (await readStates(this.knex)).map((state) => state.name);
    const near = closest(name, names);
    const meant = near === undefined ? '' : `, did you mean ${near}?`;
    return new UserError(`no recurring job is named '${name}'${meant}; there are: ${names.join(', ') || 'none'}`);
  }
}

function listing(state: CronState): CronListing {
  return {
    name: state.name,
    class: state.class,
    spec: state.spec,
    timeZone: state.time_zone,
    catchUp: state.catch_up,
    paused: state.paused,
    known: state.known,
    nextTick: (state.paused || !state.known ? undefined : nextTick(state)) ?? null,
    lastTick: state.last_tick,
    lastEnqueuedId: state.last_enqueued_id,
    missed: Number(state.missed),
    caughtUp: Number(state.caught_up),
  };
}

function nextTick({ spec, time_zone, now }: CronState): Date | undefined {
  try {
    return new Schedule(spec, time_zone).next(now);
  } catch {
    // A newer deploy may know to read what this one does not.
    return undefined;
  }
}
