import { currentContext } from '../../../lib/core/execution-context';
import { DiscardJob, KillJob, RateLimited, Snooze } from '../../../lib/job/definition/errors';
import type { EnqueuedJob, JobArgument } from '../../../lib/job/definition/job-class';
import type { JobSetup } from '../../../lib/job/definition/setup';
import { Job } from '../../../lib/job/job';
import { Model } from '../../../lib/model/model';
import { transaction } from '../../../lib/model/transaction';

/** What the jobs below, their callbacks and their middleware have done, in order. */
export const log: unknown[] = [];
/** The log without the middleware. */
export const told = () => log.filter((line) => typeof line !== 'string' || !/(outer|inner)|^report /.test(line));
export const lines = (pattern: RegExp) => log.filter((line) => typeof line === 'string' && pattern.test(line));

export class Note extends Model {
  static override readonly tableName = 'notes';
  declare id: number;
  declare text: string;
}

export class Money {
  constructor(
    readonly amount: number,
    readonly currency: string,
  ) {}
}

export const setup: JobSetup = {
  enqueueMiddleware: [
    async (request, next) => {
      log.push(`enqueue outer ${request.name}`);
      const job = await next({ ...request, tags: [...request.tags, 'marked'] });
      log.push('enqueued outer');
      return job;
    },
    async (request, next) => {
      log.push('enqueue inner');
      return next(request);
    },
  ],
  performMiddleware: [
    async (run, next) => {
      log.push(`perform outer ${run.class}`);
      try {
        await next();
      } finally {
        log.push('performed outer');
      }
    },
    async (run, next) => {
      log.push(`perform inner ${run.attempt}`);
      await next();
    },
  ],
  reportError: (report) => log.push(`report ${report.kind}: ${report.error.message}`),
  serializers: [
    {
      name: 'money',
      matches: (value: unknown): value is Money => value instanceof Money,
      serialize: (value: unknown) => [(value as Money).amount, (value as Money).currency],
      deserialize: (json) => {
        const [amount, currency] = json as [number, string];
        return new Money(amount, currency);
      },
    },
  ],
};

export class EchoJob extends Job<JobArgument[]> {
  perform(...values: JobArgument[]) {
    log.push(values);
  }
}

export class SecretJob extends Job<[secret: string]> {
  static override readonly encrypt = true;
  static override readonly unique = true;

  perform(secret: string) {
    log.push(secret);
  }
}

export class ContextJob extends Job {
  static override tags = ['of the class'];

  perform() {
    const { requestId, locale, attributes, jobId, jobClass } = currentContext();
    const { id, attempt, queue, tags } = this.context;
    log.push({ requestId, locale, attributes, jobId, jobClass, id, attempt, queue, tags });
  }
}

/** Has every callback. */
export class CallbackJob extends Job<[fails: boolean]> {
  static override retry = { limit: 0 };

  override beforeEnqueue(fails: boolean) {
    log.push(`before enqueue ${fails}`);
  }

  override async aroundEnqueue(enqueue: () => Promise<EnqueuedJob>) {
    log.push('around enqueue');
    await enqueue();
    log.push('around enqueued');
  }

  override afterEnqueue(job: EnqueuedJob) {
    log.push(`after enqueue ${job.enqueued}`);
  }

  override beforePerform() {
    log.push('before perform');
  }

  override async aroundPerform(perform: () => Promise<void>) {
    log.push('around perform');
    await perform();
    log.push('around performed');
  }

  perform(fails: boolean) {
    log.push('perform');
    if (fails) throw new RangeError('as asked');
  }

  override afterPerform() {
    log.push('after perform');
  }

  override afterDiscard(error: Error) {
    log.push(`after discard: ${error.message}`);
  }
}

export class FlakyJob extends Job<[fails: number]> {
  static override retry = { limit: 2 };

  perform(fails: number) {
    log.push(`run ${this.context.attempt}`);
    if (this.context.attempt <= fails) throw new RangeError(`failure ${this.context.attempt}`);
  }
}

/** Runs for good at its third run. */
export class SnoozyJob extends Job {
  static override unique = true as const;
  private static left = 0;

  static snoozes(times: number) {
    SnoozyJob.left = times;
  }

  perform() {
    log.push(`run ${this.context.attempt}`);
    if (SnoozyJob.left-- > 0) throw new Snooze('1h');
  }
}

/** Its queue is a function of its arguments. */
export class ReminderJob extends Job<[size: 'large' | 'small' | 'a b']> {
  static override readonly expiresIn = '10m';
  static override readonly queue = (size: string) => (size === 'small' ? 'default' : size);

  perform(size: string) {
    log.push(size);
    if (size === 'small') throw new Snooze('1h');
  }

  override afterDiscard(error: Error) {
    log.push(error.name);
  }
}

/** Runs behind the others of its queue. */
export class RankedJob extends Job<[name: string]> {
  static override readonly priority = 10;

  perform(name: string) {
    log.push(name);
  }
}

export class BusyError extends Error {}

/** Retried by its own rule, which has fewer attempts than the class. */
export class RuledJob extends Job<[how: 'busy' | 'type']> {
  static {
    this.retryOn(BusyError, { wait: '1h', attempts: 2 });
    this.discardOn(TypeError, (error) => log.push(`handled ${error.message}`));
  }

  perform(how: 'busy' | 'type') {
    log.push(`run ${this.context.attempt}`);
    throw how === 'busy' ? new BusyError('busy') : new TypeError('wrong');
  }

  override afterDiscard(error: Error) {
    log.push(`after discard: ${error.message}`);
  }
}

/** Returns its argument, or ends by a commit of it. */
export class KeptJob extends Job<[value: JobArgument, how?: 'commit' | 'discard']> {
  static override readonly keep = '7d';

  async perform(value: JobArgument, how?: string): Promise<unknown> {
    this.log('a line', { how: how ?? null });
    if (how === 'discard') throw new DiscardJob('not needed');
    return how === 'commit' ? void (await this.commit(() => value)) : value;
  }
}

export class KeptSecretJob extends Job<[secret: string]> {
  static override readonly keep = '7d';
  static override readonly encrypt = true;

  async perform(secret: string) {
    return [await this.step('look', () => secret)];
  }
}

export class VerdictJob extends Job<[verdict: 'discard' | 'kill']> {
  perform(verdict: 'discard' | 'kill') {
    throw verdict === 'discard' ? new DiscardJob('not needed') : new KillJob('no use');
  }
}

export class SlowJob extends Job {
  static override timeout = '20ms' as const;
  static override retry = { limit: 0 };

  async perform() {
    const { signal } = this.context;
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }
}

/** Enqueues itself with the same arguments; the one with the key `fails` fails. */
export class UniqueJob extends Job<[key: string]> {
  static override unique = true as const;

  async perform(key: string) {
    log.push(await UniqueJob.performLater(key));
    if (key === 'fails') throw new RangeError('as asked');
  }
}

/** Cancels itself, and then ends as it is told. */
export class SelfCancellingJob extends Job<[end: 'well' | 'badly' | 'by its signal' | 'late']> {
  static override unique = true as const;
  static override timeout = 5;

  async perform(end: 'well' | 'badly' | 'by its signal' | 'late') {
    const { id, signal } = this.context;
    if (end === 'late') await new Promise((resolve) => signal.addEventListener('abort', resolve));
    log.push(await Job.cancel(id, { reason: 'why' }));
    if (end === 'by its signal') signal.throwIfAborted();
    if (end !== 'well') throw new RangeError('as asked');
  }

  override afterDiscard(error: Error) {
    log.push(`after discard: ${error.message}`);
  }
}

/** Its unique claim ends when it starts. */
export class DebouncedJob extends Job<[key: string, again: boolean]> {
  static override unique = { by: (key: string) => key, until: 'executing' } as const;

  async perform(key: string, again: boolean) {
    log.push(again);
    if (again) await DebouncedJob.performLater(key, false);
  }
}

/** The later enqueue replaces the one that waits. `again` enqueues another one while it runs, and then fails. */
export class LatestJob extends Job<[key: string, words: string]> {
  static override encrypt = true;
  static override unique = { by: (key: string) => key, onConflict: 'replace' } as const;

  async perform(key: string, words: string) {
    log.push(words);
    if (words !== 'again') return;
    await LatestJob.performLater(key, 'the last');
    throw new RangeError('as asked');
  }
}

/** Jobs that wait for each other. The first run of `fails` fails. */
export class OrderedJob extends Job<[words: string]> {
  static override unique = { by: () => 1, onConflict: 'wait' } as const;

  perform(words: string) {
    log.push(words);
    if (words === 'fails' && this.context.attempt === 1) throw new RangeError('as asked');
  }
}

export class ChainJob extends Job<[left: number]> {
  static override queue = 'mailer';

  async perform(left: number) {
    log.push(left);
    if (left > 0) await ChainJob.set({ queue: left % 2 ? 'default' : 'other' }).performLater(left - 1);
  }
}

export class NoteJob extends Job<[note: Note]> {
  perform(note: Note) {
    log.push(note.text);
  }
}

/** Stores a checkpoint after each step, fails once, and resumes from there. */
export class StepsJob extends Job {
  async perform() {
    for (let step = (await this.resumeFrom<number>()) ?? 0; step < 4; step++) {
      log.push(step);
      await this.checkpoint(step + 1);
      if (step === 1) throw new RangeError('half way');
    }
  }
}

/** Goes over all notes, two at a time, and fails at the second two. */
export class EachNoteJob extends Job {
  async perform() {
    await this.each(Note.query(), { batch: 2 }, (notes) => {
      if (this.context.attempt === 1 && lines(/,/).length > 0) throw new RangeError('half way');
      log.push(notes.map(({ text }) => text).join());
    });
  }
}

/** Is told to wait once. */
export class AskingJob extends Job<[api: string]> {
  static override readonly limit = { count: 1, key: (api: string) => api };

  perform(api: string) {
    log.push(`ask ${api}, run ${this.context.attempt}`);
    if (lines(/^ask/).length === 1) throw new RateLimited({ after: '1h' });
  }
}

/** Has steps, two of them in transactions. Its first run fails in the third, and takes its second back. */
export class KeptStepsJob extends Job {
  async perform() {
    const first = this.context.attempt === 1;
    const note = (text: string) => Note.query().insert({ text });
    log.push((await this.step('note', () => note('first'))).text);
    const undone = transaction(async () => {
      await this.step('undone', () => note('second'));
      if (first) throw new RangeError('taken back');
    });
    await undone.catch(() => undefined);
    await this.step(
      'third',
      async () => {
        await note('third');
        if (first) throw new RangeError('half way');
      },
      { transaction: true },
    );
    await this.commit(() => note('last'));
    log.push('committed');
  }
}

/** Records how its batch stands. */
export class ReportJob extends Job<[text: string]> {
  async perform(text: string): Promise<void> {
    const { state, done, dead } = (await this.batch?.status()) ?? {};
    log.push(`${text}: ${state}, ${done} done, ${dead} dead`);
  }
}

/** Adds another part to its batch, or dies of its errors. */
export class PartJob extends Job<[what: 'adds' | 'works' | 'dies']> {
  static override retry = { limit: 0 };

  async perform(what: 'adds' | 'works' | 'dies'): Promise<void> {
    if (what === 'adds') await this.batch?.add(PartJob.prepare('works'));
    if (what === 'dies') throw new KillJob('as told');
  }
}
