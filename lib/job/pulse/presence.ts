import os from 'node:os';
import type { Config } from '../../core/config';
import { toError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import { version } from '../../core/version';
import { VitalsMeter } from '../../core/vitals';
import type { Database } from '../../model/database';
import type { Deadline } from '../../support/deadline';
import { Handover } from '../history/handover';
import { MailTally } from '../history/mail-tally';
import { Tally } from '../history/tally';
import { Recurring } from '../recurring';
import { LatencyWatch } from './latency-watch';
import { BUSY_SHOWN, type BusyJob, type ProcessInfo, type ProcessOrder } from './process-info';
import { BEAT_MS, Pulse, type PulseTuning } from './pulse';

export interface PresenceOptions {
  readonly config: Pick<Config, 'jobs'>;
  readonly database: Database;
  readonly redis: Redis;
  readonly events: Events;
  readonly app: string;
  readonly identity: string;
  /** Processors whose end is known. */
  readonly dead: readonly string[];
  readonly tuning: PulseTuning;
  /** Whether to count what becomes of jobs and mails. */
  readonly history: boolean;
  readonly fullQueues: () => readonly string[];
  readonly snapshot: () => { readonly running: readonly BusyJob[]; readonly quiet: boolean };
  readonly onOrder: (order: ProcessOrder) => void;
  /** Whether the app has a job class of that name. */
  readonly knowsClass: (className: string) => boolean;
}

/** What a processor tells the world of itself and its queues while it runs. */
export class Presence {
  private readonly pulse: Pulse;
  private readonly latency: LatencyWatch;
  private readonly tally: Tally;
  private readonly mails = new MailTally();
  private readonly handover: Handover;
  private readonly accounts: Recurring;
  private endTally: (() => void) | undefined;
  private vitals: VitalsMeter | undefined;
  private stopping = false;
  private readonly startedAt = Date.now();
  private readonly version = version();

  constructor(private readonly options: PresenceOptions) {
    const { config, database, redis, events, identity, dead, tuning, onOrder, fullQueues } = options;
    const everyMs = tuning.beatMs ?? BEAT_MS;
    this.pulse = new Pulse({
      ...tuning,
      redis,
      events,
      identity,
      dead,
      queues: this.queues,
      describe: (redisMs) => this.describe(redisMs),
      onOrder,
    });
    this.latency = new LatencyWatch({
      redis: redis.client,
      knex: database.knex,
      events,
      queues: this.queues,
      fullQueues,
      warningMs: config.jobs.latencyWarningMs,
      everyMs,
    });
    this.tally = new Tally(Date.now, options.knowsClass);
    this.handover = new Handover(this.tally, identity, this.mails);
    this.accounts = new Recurring({ everyMs, work: () => this.account(), onError: (error) => this.report(error) });
  }

  start(): void {
    this.vitals = new VitalsMeter();
    this.pulse.start();
    this.latency.start();
    this.accounts.start();
    const { events, history } = this.options;
    if (this.endTally || !history) return;
    const ends = [this.tally.listen(events), this.mails.listen(events)];
    this.endTally = () => {
      for (const end of ends) end();
    };
  }

  /** What it told is no longer true. */
  changed(): void {
    this.pulse.nudge();
  }

  /** That one has ended without giving its jobs back. */
  takeOver(identity: string): void {
    this.pulse.takeOver(identity);
  }

  /** It drains: still here, but not for long. */
  drains(): void {
    this.stopping = true;
    this.pulse.nudge();
  }

  /** To be called when nothing is in hand any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.endTally?.();
    await deadline.wait(Promise.all([this.latency.stop(), this.accounts.stop()]));
    await deadline.wait(this.account()).catch((error: unknown) => this.report(toError(error)));
    await this.pulse.stop(deadline);
    this.vitals?.stop();
  }

  /** While Redis is away the accounts stay here. */
  private async account(): Promise<undefined> {
    const { client } = this.options.redis;
    if (client.isReady) await this.handover.send(client);
  }

  private report(error: Error): void {
    const { redis, events } = this.options;
    if (redis.client.isReady) events.emit('queue.error', { error, during: 'handing over the history of jobs' });
  }

  private get queues(): string[] {
    return this.options.config.jobs.queues.map((queue) => queue.name);
  }

  private describe(redisMs: number | null): ProcessInfo {
    const { app, identity, config, snapshot } = this.options;
    const { running, quiet } = snapshot();
    const { rssMb = 0, lagP99Ms = 0, utilization = 0 } = this.vitals?.read() ?? {};
    return {
      identity,
      tree: identity.replace(/-\d+$/, ''),
      app,
      version: this.version,
      host: os.hostname(),
      pid: process.pid,
      startedAt: this.startedAt,
      queues: this.queues,
      concurrency: config.jobs.concurrency,
      quiet,
      stopping: this.stopping,
      busyCount: running.length,
      busy: running.slice(0, BUSY_SHOWN),
      rssMb,
      lagP99Ms,
      utilization,
      redisMs,
    };
  }
}
