import { setTimeout as wait } from 'node:timers/promises';
import { toError } from '../core/errors';
import { Backoff } from '../support/backoff';
import { Deadline } from '../support/deadline';

/** How long whoever writes waits for it, ms. */
const PATIENCE_MS = 2000;
/** How long it is tried, ms: an outage that is longer has other consequences. */
const GIVE_UP_MS = 600_000;
/** What a stop leaves to whatever ends after this, ms; and the longest pause between two tries by then. */
const LEFT_MS = 2000;
const STOPPING_PAUSE_MS = 250;

/**
 * What must be written down in the end, for the mail is out: tried again and again through an outage of Postgres, in the
 * background if need be.
 */
export class LastingWrites {
  private readonly pending = new Set<Promise<void>>();
  private readonly ending = new AbortController();
  private last: Deadline | undefined;

  /**
   * @param onError told of the first failure of each, and when it is given up.
   * @param patienceMs how long whoever writes waits for it. Default 2000.
   */
  constructor(
    private readonly onError: (error: Error, during: string) => void,
    private readonly patienceMs = PATIENCE_MS,
  ) {}

  /** Resolves once it is written, or soon. Never rejects. @param during such as `recording a mail that was sent`. */
  async write(during: string, work: () => Promise<void>): Promise<void> {
    const written = this.persist(during, work).finally(() => this.pending.delete(written));
    this.pending.add(written);
    await Deadline.after(this.patienceMs).wait(written);
  }

  /** Each is tried until shortly before the deadline. What is not written by then is given up. */
  async stop(deadline: Deadline): Promise<void> {
    this.last = deadline.earlier(LEFT_MS);
    this.ending.abort();
    await deadline.wait(Promise.all(this.pending));
  }

  private async persist(during: string, work: () => Promise<void>): Promise<void> {
    const limit = Deadline.after(GIVE_UP_MS);
    const backoff = new Backoff({ base: 50, max: 2000 });
    for (;;) {
      const error = await work().then(() => undefined, toError);
      if (!error) return;
      const over = limit.expired || (this.last?.expired ?? false);
      if (over || backoff.attempts === 0) this.onError(error, during);
      if (over) return;
      await this.pause(backoff.next());
    }
  }

  /** Cut short by a stop. */
  private async pause(ms: number): Promise<void> {
    if (this.last) await wait(Math.min(ms, STOPPING_PAUSE_MS));
    else await wait(ms, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }
}
