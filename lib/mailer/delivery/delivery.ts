import { setTimeout as wait } from 'node:timers/promises';
import type { Config, MailDelivery as DeliveryMethod } from '../../core/config';
import type { Events } from '../../core/events';
import type { I18n } from '../../core/i18n';
import { STOP_PHASES } from '../../core/shutdown';
import { Backoff, Deadline, toError } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { Progress } from '../../support/progress';
import type { Service } from '../../support/service';
import { ActionRun } from '../compose/action-run';
import { MailComposer } from '../compose/composer';
import { DeliveryInProgressError, InvalidMailError, MailCancelled } from '../definition/errors';
import type { ActionCall } from '../definition/mailer-class';
import type { MailSetup } from '../definition/setup';
import type { Delivery, DeliveryResult, MailMessage } from '../message';
import { Renderer } from '../render/renderer';
import type { Transport } from '../transport/transport';
import { type DeliveryStore, digestOfArguments, IdempotencyKeys } from './delivery-record';
import { SendAttempt } from './send-attempt';

export interface MailDeliveryOptions {
  readonly config: Pick<Config, 'mail' | 'appUrl' | 'defaultLocale' | 'environment'>;
  readonly record: DeliveryStore;
  readonly i18n: I18n;
  readonly templatesDir: string;
  readonly events: Events;
  /** The app's interceptors, observers and renderer. */
  readonly setup?: MailSetup;
  /** Sends every mail, whatever `config.mail.delivery` and the mail itself name. For tests. */
  readonly transport?: Transport;
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
  'job.released',
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
    this.composer = new MailComposer({ config, i18n, renderer, render: setup?.render });
    this.transports = new Transports(config.mail, events);
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
    const given = digestOfArguments(message.args, message.params);
    const draft = await this.composer.draft(run);
    if (!draft) return this.skipped(message, 'the action built no mail');
    if (!message.mailer.performDeliveries) return this.skipped(message, 'performDeliveries of its mailer is false');
    const { record, events, setup = {} } = this.options;
    const transport = this.options.transport ?? this.transports.get(draft.delivery);
    // A process without mails has nothing to forget.
    this.unsubscribe ??= events.onAny((_, about) => 'id' in about && this.keys.forget(about.id), RUN_EDGES);
    const key = this.keys.next(draft, given);
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
   * the other run reports the outcome of the mail.
   */
  private async failed(message: ActionCall, run: ActionRun | undefined, error: Error): Promise<DeliveryResult> {
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
    const force = { force: outcome === 'late' };
    await Promise.all([this.options.transport?.close(force), this.transports.close(force)]);
    // The sends that were cut off still record their failure.
    await deadline.wait(Promise.allSettled(this.underway));
    await this.writes.stop(deadline);
    this.unsubscribe?.();
  }
}

/** Number of mails that MAIL_DELIVERY=test keeps, since such a tree may run for long. */
const KEPT = 1000;

/** The transports of one process, each created when the first mail needs it. */
export class Transports {
  private readonly made = new Map<DeliveryMethod, Transport>();

  constructor(
    private readonly mail: Config['mail'],
    private readonly events: Events,
  ) {}

  /** @param method default: the one that MAIL_DELIVERY names. @throws InvalidMailError for `smtp` without SMTP_URL. */
  get(method: DeliveryMethod = this.mail.delivery): Transport {
    const known = this.made.get(method);
    if (known) return known;
    const transport = this.make(method);
    this.made.set(method, transport);
    return transport;
  }

  async close(options: { readonly force: boolean }): Promise<void> {
    await Promise.all([...this.made.values()].map((transport) => transport.close(options)));
  }

  /** Each module is loaded on demand, since a process usually uses only one delivery method. */
  private make(method: DeliveryMethod): Transport {
    const { smtpUrl, dir } = this.mail;
    if (method === 'smtp') {
      if (smtpUrl === null)
        throw new InvalidMailError(
          "a mail requests delivery 'smtp', but SMTP_URL is not set: set it, or choose another method",
        );
      const { SmtpTransport } = require('../transport/smtp') as typeof import('../transport/smtp');
      return new SmtpTransport(smtpUrl);
    }
    const local = require('../transport/local-transports') as typeof import('../transport/local-transports');
    if (method === 'file') return new local.FileTransport(dir);
    if (method === 'log') return new local.LogTransport(this.events);
    if (method === 'test') return new local.TestTransport(KEPT);
    throw new InvalidMailError(
      `delivery: ${JSON.stringify(method satisfies never)} is not a delivery method; there are smtp, file, log and test`,
    );
  }
}

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
   */
  constructor(
    private readonly onError: (error: Error, during: string) => void,
    private readonly patienceMs = PATIENCE_MS,
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

  /** A stop ends the pause. */
  private async pause(ms: number): Promise<void> {
    if (this.last) await wait(Math.min(ms, STOPPING_PAUSE_MS));
    else await wait(ms, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }
}
