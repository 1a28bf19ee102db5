import { setTimeout as wait } from 'node:timers/promises';
import { DiscardJob, KillJob, RateLimited, Snooze } from '../../../lib/job/definition/errors';
import type { JobClass } from '../../../lib/job/definition/job-class';
import { Job } from '../../../lib/job/job';
import ReadingJob from '../../fixtures/thread-app/jobs/reading';
import Note from '../../fixtures/thread-app/models/note';

/** What the jobs below have told, in order. */
export const told: unknown[] = [];

abstract class TellingJob extends Job<[text: string]> {
  perform(text: string): unknown {
    told.push(text);
    return undefined;
  }
  override afterDiscard(error: Error): void {
    told.push(error.name);
  }
}

let atOnce = 0;

export class LimitedJob extends TellingJob {
  static override readonly limit = { count: 1, key: (text: string) => text[0] };
  override async perform(text: string) {
    atOnce++;
    await wait(1);
    told.push(`${text}, ${atOnce} at once`);
    atOnce--;
  }
}

export class HourlyJob extends TellingJob {
  static override readonly rate = { limit: 1, per: '1h' } as const;
}

/** Is told to wait at its first run. */
export class AskingJob extends TellingJob {
  static override readonly limit = { count: 1, key: (text: string) => text };
  override perform(text: string) {
    told.push(text);
    if (told.length === 1) throw new RateLimited({ after: '1h' });
  }
}

export class TickJob extends TellingJob {}

export class SnoozyJob extends TellingJob {
  override perform(text: string) {
    told.push(`${text} ${this.context.attempt}`);
    if (told.length === 1) throw new Snooze('1h');
  }
}

export class ExpiringJob extends TellingJob {
  static override readonly expiresIn = '10m';
}

export class FailingJob extends TellingJob {
  static override readonly retry = { retryFor: '1h' } as const;
  override perform(_text: string) {
    told.push(`run ${this.context.attempt}`);
    throw new RangeError('as asked');
  }
}

/** Its first run fails at the second batch. */
export class EachJob extends Job {
  async perform() {
    await this.each(Note.query(), { batch: 2 }, (notes) => {
      if (this.context.attempt === 1 && told.length > 0) throw new RangeError('half way');
      told.push(notes.map(({ text }) => text).join(''));
    });
  }
}

export class PartJob extends Job<[what: 'works' | 'adds' | 'dies' | 'leaves']> {
  async perform(what: string) {
    if (what === 'adds') await this.batch?.add(PartJob.prepare('works'));
    if (what === 'dies') throw new KillJob('as told');
    if (what === 'leaves') throw new DiscardJob('as told');
  }
}

/** A callback: says how its batch stands. */
export class ReportJob extends Job<[text: string]> {
  async perform(text: string) {
    const { state, total, done, dead } = (await this.batch?.status()) ?? {};
    told.push(`${text}: ${state}, ${total} added, ${done} done, ${dead} dead`);
  }
}

/** Cancels itself and fails then. */
export class CancellingJob extends TellingJob {
  override async perform(reason: string) {
    told.push(await Job.cancel(this.context.id, { reason }));
    throw new RangeError('as asked');
  }
  override afterDiscard(error: Error) {
    told.push(error.message);
  }
}

export class KeptJob extends Job<[amount: bigint]> {
  static override readonly keep = '1d';
  perform(amount: bigint) {
    return { amount, at: new Date(0) };
  }
}

export class SecretJob extends TellingJob {
  static override readonly encrypt = true;
  static override readonly unique = true;
}

/** Its limit is for the class, so that its jobs run in their order; keys would take turns by lot. */
export class LatestJob extends Job<[key: string, text: string]> {
  static override readonly unique = { by: (key: string) => key, onConflict: 'replace' } as const;
  static override readonly limit = { count: 1 };
  perform(key: string, text: string) {
    told.push(`${key} ${text}`);
  }
}

/** Its first run fails if it is told so. */
export class OrderedJob extends TellingJob {
  static override readonly unique = { by: () => 1, onConflict: 'wait' } as const;
  override perform(text: string) {
    told.push(text);
    if (text === 'fails' && this.context.attempt === 1) throw new RangeError('as asked');
  }
}

export class SearchJob extends TellingJob {
  static override readonly debounce = { wait: '10m', maxWait: '20m' } as const;
}

export class SummaryJob extends TellingJob {
  static override readonly throttle = { per: '1h' } as const;
}

/** Tells its queue; its first run fails. */
export class DemotedJob extends TellingJob {
  static override readonly retryQueue = 'mailer';
  override perform(text: string) {
    const { queue, attempt } = this.context;
    told.push(`${text} on ${queue}`);
    if (attempt === 1) throw new RangeError('as asked');
  }
}

/** Snoozes with each new letter. */
export class SpellingJob extends TellingJob {
  static override readonly persisted = ['spelt'];
  spelt = '';
  override perform(text: string) {
    this.spelt += text[this.spelt.length];
    told.push(this.spelt);
    if (this.spelt !== text) throw new Snooze('1h');
  }
}

/** Its failure is handled, unless the handler fails. */
export class RescuedJob extends TellingJob {
  static {
    this.rescueFrom(RangeError, (error, job) => {
      told.push(`${job.context.attempt}: ${error.message}`);
      if (error.message === 'worse') throw new KillJob('nothing helps');
    });
  }
  override perform(text: string) {
    throw new RangeError(text);
  }
}

export class AlertJob extends TellingJob {
  static override readonly throttle = { per: '1h', onConflict: 'discard' } as const;
}

export { ReadingJob };

export const CLASSES: readonly JobClass[] = [
  LimitedJob,
  HourlyJob,
  AskingJob,
  TickJob,
  SnoozyJob,
  ExpiringJob,
  FailingJob,
  EachJob,
  PartJob,
  ReportJob,
  CancellingJob,
  KeptJob,
  SecretJob,
  ReadingJob,
  LatestJob,
  OrderedJob,
  SearchJob,
  SummaryJob,
  AlertJob,
  RescuedJob,
  SpellingJob,
  DemotedJob,
];
