import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { I18n } from '../../core/i18n';
import { STOP_PHASES } from '../../core/shutdown';
import { RateLimited } from '../../job/definition/errors';
import type { Deadline } from '../../support/deadline';
import { PeriodicTask } from '../../support/periodic-task';
import { Progress } from '../../support/progress';
import type { Service } from '../../support/service';
import { toError } from '../../support/to-error';
import { ActionRun } from '../compose/action-run';
import { MailComposer } from '../compose/composer';
import type { DeliveryMethod } from '../definition/delivery-method';
import { DeliveryInProgressError, MailCancelled } from '../definition/errors';
import type { ActionCall } from '../definition/mailer-class';
import type { MailSetup } from '../definition/setup';
import type { Delivery } from '../deliver-mail-job';
import type { DeliveryResult, MailMessage } from '../message';
import { Renderer } from '../render/renderer';
import { digestOfArguments } from './argument-digest';
import type { DeliveryStore } from './delivery-record';
import { DurableWrites } from './durable-writes';
import { IdempotencyKeys } from './idempotency-keys';
import { SendAttempt } from './send-attempt';
import { Transports } from './transports';

export interface MailDeliveryOptions {
  readonly config: Pick<Config, 'mail' | 'appUrl' | 'defaultLocale' | 'environment'>;
  readonly record: DeliveryStore;
  readonly i18n: I18n;
  readonly templatesDir: string | readonly string[];
  readonly events: Events;
  readonly setup?: MailSetup;
  /** Sends every mail, whatever `config.mail.delivery` names. For tests. */
  readonly transport?: DeliveryMethod;
  /** Longest time a job waits for a write to its delivery record while Postgres is away, ms. Default 2000. */
  readonly patienceMs?: number;
}

const DAY_MS = 24 * 3600 * 1000;
/** A failure counts for this long, ms: by then its job has tried again several times, or has given up. */
const FORGET_MS = 600_000;
/** Events of a job after which its next mail belongs to another run. */
const RUN_EDGES = [
  'job.started',
  'job.succeeded',
  'job.retrying',
  'job.dead',
  'job.discarded',
  'job.cancelled',
  'job.released',
  'job.rate-limited',
  'job.fenced',
] as const;

/**
 * Turns a message into a mail and sends it: action, draft, claim, parts, interceptors, transport, record. It loads
 * email-templates and nodemailer, so only a process that delivers constructs one.
 */
export class MailDelivery implements Service, Delivery {
  readonly name = 'mail delivery';
  readonly composer: MailComposer;
  readonly progress = new Progress({ forgetMs: FORGET_MS });
  private readonly transports: Transports;
  private readonly keys = new IdempotencyKeys();
  private readonly underway = new Set<Promise<unknown>>();
  private readonly writes: DurableWrites;
  private unsubscribe: (() => void) | undefined;
  private readonly housekeeping: PeriodicTask;
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: MailDeliveryOptions) {
    const { config, events, templatesDir, i18n, setup, patienceMs } = options;
    this.writes = new DurableWrites((error, during) => events.emit('process.error', { error, during }), patienceMs);
    const cache = config.environment === 'production';
    const renderer = new Renderer({ templatesDir, cache, appUrl: config.appUrl });
    this.composer = new MailComposer({ config, i18n, renderer, setup });
    this.transports = new Transports(config.mail, events, setup?.deliveryMethods, options.transport);
    this.housekeeping = new PeriodicTask({ everyMs: DAY_MS, work: () => this.prune(), onError: () => undefined });
  }

  async start(): Promise<void> {
    this.housekeeping.start();
  }

  /** Drains the mails in flight. Those that do not finish in time are cut off, and their job's next run sends them. */
  stop(deadline: Deadline): Promise<void> {
    this.stopping ??= this.settle(deadline);
    return this.stopping;
  }

  /** Implements `MailMessage.deliverNow`. */
  async deliver(message: MailMessage): Promise<DeliveryResult> {
    if (this.stopping) throw new Error('mail delivery has stopped in this process');
    return this.track(message.inContext(() => this.attempt(message)));
  }

  private async attempt(message: MailMessage): Promise<DeliveryResult> {
    let run: ActionRun | undefined;
    try {
      run = new ActionRun(message, this.options.config.appUrl);
      return await this.work(run);
    } catch (thrown) {
      if (thrown instanceof MailCancelled) return this.skipped(message, thrown.message);
      return this.failed(message, run, toError(thrown));
    }
  }

  private async work(run: ActionRun): Promise<DeliveryResult> {
    const { message } = run;
    // The digest is taken before the action runs, which may change its arguments.
    const digest = digestOfArguments(message.args, message.params);
    const draft = await this.composer.draft(run);
    if (!draft) return this.skipped(message, 'the action built no mail');
    if (!message.mailer.performDeliveries) return this.skipped(message, 'performDeliveries of its mailer is false');
    const { record, events, setup = {} } = this.options;
    const transport = this.transports.for(draft.delivery);
    // A process without mails has nothing to forget.
    this.unsubscribe ??= events.onAny((_, about) => 'id' in about && this.keys.forget(about.id), RUN_EDGES);
    const key = this.keys.next(draft, digest);
    const claim = await record.claim(key, draft);
    if (claim.verdict === 'sent') return this.skipped(message, 'already sent by an earlier run of this job');
    if (claim.verdict === 'busy')
      throw new DeliveryInProgressError(`another run of this job is sending ${message.title}`);
    const { composer, writes, progress } = this;
    const parts = { run, draft, key, claim, composer, transport, record, writes, events, setup, progress };
    const sending = new SendAttempt(parts);
    return sending.send();
  }

  /**
   * @throws the error, unless `rescueFrom` of the mailer handles it. DeliveryInProgressError is always thrown, since
   * the other run reports the outcome of the mail, and so is RateLimited, which is no failure.
   */
  private async failed(message: ActionCall, run: ActionRun | undefined, error: Error): Promise<DeliveryResult> {
    if (error instanceof RateLimited) throw error;
    let failure = error;
    try {
      if (!(error instanceof DeliveryInProgressError) && (await run?.rescue(error))) {
        return this.skipped(message, `its mailer handled ${error.name}: ${error.message}`);
      }
    } catch (thrown) {
      if (thrown instanceof MailCancelled) return this.skipped(message, thrown.message);
      failure = toError(thrown);
    }
    this.options.events.emit('mail.failed', { mailer: message.mailer.name, action: message.action, error: failure });
    throw failure;
  }

  private skipped({ mailer, action }: ActionCall, reason: string): DeliveryResult {
    this.options.events.emit('mail.skipped', { mailer: mailer.name, action, reason });
    return { status: 'skipped', reason };
  }

  private track<T>(work: Promise<T>): Promise<T> {
    this.underway.add(work);
    const done = () => this.underway.delete(work);
    work.then(done, done);
    return work;
  }

  private async prune(): Promise<undefined> {
    const { record, events } = this.options;
    const during = 'removing old delivery records';
    await record.prune().catch((thrown) => events.emit('process.error', { error: toError(thrown), during }));
  }

  private async settle(deadline: Deadline): Promise<void> {
    void this.track(this.housekeeping.stop());
    const outcome = await deadline.part(STOP_PHASES.mails).wait(Promise.allSettled(this.underway));
    await this.transports.close(outcome === 'late');
    // The sends that were cut off still record their failure.
    await deadline.wait(Promise.allSettled(this.underway));
    await this.writes.stop(deadline);
    this.unsubscribe?.();
  }
}
