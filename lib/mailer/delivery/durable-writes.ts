import { setTimeout as wait } from 'node:timers/promises';
import { STOP_PHASES } from '../../core/shutdown';
import { Backoff } from '../../support/backoff';
import { Deadline } from '../../support/deadline';
import { toError } from '../../support/to-error';

/** Longest time the caller of a write waits for it, ms. */
const PATIENCE_MS = 2000;
/** A write is given up after this time, ms. A longer outage has worse consequences than a missing record. */
const GIVE_UP_MS = 600_000;
/** Longest pause between two retries during a stop, ms. */
const STOPPING_PAUSE_MS = 250;

/**
 * Writes that must not be lost, since their mail is already sent. They are retried through an outage of Postgres, in
 * the background if necessary.
 */
export class DurableWrites {
  private readonly pending = new Set<Promise<void>>();
  private readonly ending = new AbortController();
  private last: Deadline | undefined;

  /**
   * @param onError called with the first failure of each write, and when the write is given up.
   * @param patienceMs longest time the caller of a write waits for it, ms. Default 2000.
   * @param now the current time, ms on the monotonic clock.
   */
  constructor(
    private readonly onError: (error: Error, during: string) => void,
    private readonly patienceMs = PATIENCE_MS,
    private readonly now = () => performance.now(),
  ) {}

  /**
   * Resolves once the work is done, or after `patienceMs`. Never rejects.
   * @param during names the work in an error, such as `recording a mail that was sent`.
   */
  async write(during: string, work: () => Promise<void>): Promise<void> {
    const written = this.persist(during, work).finally(() => this.pending.delete(written));
    this.pending.add(written);
    await Deadline.after(this.patienceMs).wait(written);
  }

  /** Retries pending writes until shortly before the deadline, then gives them up. */
  async stop(deadline: Deadline): Promise<void> {
    this.last = deadline.part(STOP_PHASES.mailRecords);
    this.ending.abort();
    await deadline.wait(Promise.all(this.pending));
  }

  private async persist(during: string, work: () => Promise<void>): Promise<void> {
    const until = this.now() + GIVE_UP_MS;
    const backoff = new Backoff({ base: 50, max: 2000 });
    for (;;) {
      const error = await work().then(() => undefined, toError);
      if (!error) return;
      const over = this.now() >= until || (this.last?.expired ?? false);
      if (over || backoff.attempts === 0) this.onError(error, during);
      if (over) return;
      await this.pause(backoff.next());
    }
  }

  /** A stop ends the pause. */
  private async pause(ms: number): Promise<void> {
    if (this.last) await wait(Math.min(ms, STOPPING_PAUSE_MS));
    else await wait(ms, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }
}
