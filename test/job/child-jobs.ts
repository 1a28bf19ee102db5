import { KillJob } from '../../lib/job/definition/errors';
import { Job } from '../../lib/job/job';
import { currentTransaction, transaction } from '../../lib/model/transaction';

// The jobs of child processors, which tell the parent when they run.

export class LongJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    process.send?.(name);
    await new Promise(() => undefined);
  }
}

/** Runs until its signal is aborted, and sends why. */
export class WatchfulJob extends Job {
  async perform(): Promise<void> {
    const { signal } = this.context;
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    process.send?.('runs');
    await aborted;
    process.send?.((signal.reason as Error).message);
    throw signal.reason;
  }
}

/** Blocks the event loop for `ms`. */
export class BlockingJob extends Job<[name: string, ms: number]> {
  perform(name: string, ms: number): void {
    process.send?.(name);
    const end = performance.now() + ms;
    while (performance.now() < end);
  }
}

/** Counts without end from the cursor of an earlier run, and sends each number. */
export class CountingJob extends Job {
  async perform(): Promise<void> {
    for (let n = (await this.resumeFrom<number>()) ?? 0; ; n++) {
      process.send?.(String(n));
      await this.checkpoint(n + 1);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Reports its end, too, unless its process dies first. */
export class BriefJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    process.send?.(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    process.send?.(`${name} ends`);
  }
}

export class PoisonJob extends Job {
  perform(): void {
    process.kill(process.pid, 'SIGKILL');
  }
}

export class DyingJob extends Job<[n: number]> {
  async perform(n: number): Promise<void> {
    await this.checkpoint(n);
    throw new KillJob(`no hope for ${n}`);
  }
}

/** Writes three effects, each of which may be made once only: two in steps, the last with the end of the job. */
export class OnceOnlyJob extends Job<[n: number]> {
  static override retryIn() {
    return 100;
  }

  async perform(n: number): Promise<void> {
    const write = async (what: string) => {
      await currentTransaction()?.raw('insert into effects (what) values (?)', [`${n} ${what}`]);
    };
    await this.step('first', () => write('first'), { transaction: true });
    await this.step('second', () => write('second'), { transaction: true });
    await this.commit(() => write('end'));
    if (n % 10 === 0) throw new RangeError('after the commit');
  }
}

/** Stays with its result: every other one by `commit`, with an effect. */
export class KeptJob extends Job<[n: number]> {
  static override readonly keep = { for: '1h', limit: 100_000 } as const;

  async perform(n: number): Promise<{ n: number }> {
    this.log(`line of ${n}`);
    if (n % 2 > 0)
      await this.commit(async (trx) => {
        await trx.raw('insert into effects (what) values (?)', [String(n)]);
        return { n };
      });
    return { n };
  }
}

/** Takes some moments, and may heed its signal. Its end is an effect that is made with the end of the job. */
export class StoppableJob extends Job<[n: number]> {
  static override readonly limit = { count: 2, key: (n: number) => n % 40 };

  async perform(n: number): Promise<void> {
    for (let moment = 0; moment < n % 20; moment++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (n % 3 > 0) this.context.signal.throwIfAborted();
    }
    await this.commit(() => currentTransaction()?.raw('insert into effects (what) values (?)', [String(n)]));
  }
}

/** A job of a batch: it leaves an effect, adds others to its batch, or dies as long as the table says so. */
export class BatchPartJob extends Job<[n: number]> {
  static override retry = { limit: 0 };

  async perform(n: number): Promise<void> {
    const write = transaction((trx) => trx.raw('insert into effects (what) values (?) returning 1', [`part ${n}`]));
    await write;
    if (n % 50 === 1) await this.batch?.add(BatchPartJob.prepare(-n));
    const { rows } = await transaction((trx) => trx.raw<{ rows: object[] }>('select from cured'));
    if (n > 0 && n % 100 === 0 && rows.length === 0) throw new Error('as told');
  }
}

/** Tells once, with its end, which callback it is. */
export class BatchToldJob extends Job<[what: string]> {
  async perform(what: string): Promise<void> {
    await this.commit(async () => {
      await currentTransaction()?.raw('insert into told (what) values (?)', [what]);
    });
  }
}

/** Due so rarely that only past ticks are enqueued. */
export class YearlyJob extends Job {
  static override cron = '@yearly';
  perform(): void {}
}

/** Notes its argument with its end. The first run of every fifth fails. */
abstract class NotingJob extends Job<[key: string, n: number]> {
  static override retryIn() {
    return 20;
  }

  async perform(key: string, n: number): Promise<void> {
    if (n % 5 === 3 && this.context.attempt === 1) throw new RangeError('as asked');
    await this.commit((trx) => trx.raw('insert into effects (what, n) values (?, ?)', [key, n]));
  }
}

export class LatestNoteJob extends NotingJob {
  static override readonly unique = { by: (key: string) => key, onConflict: 'replace' } as const;
}

export class OrderedNoteJob extends NotingJob {
  static override readonly unique = { by: (key: string) => key, onConflict: 'wait' } as const;
}
