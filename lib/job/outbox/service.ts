import type { Client } from 'pg';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import { withTlsAdvice } from '../../core/tls';
import { pg } from '../../internals/pg';
import { type ConnectionSettings, connectionSettings, type Database } from '../../model/database';
import { Backoff, type Deadline, toError } from '../../support/async';
import { restorePauses } from '../queue/queue-status';
import { Completer } from './completer';
import { InstallationGate } from './installation';
import { Reconciler, type ReconcilerTuning } from './reconciler';
import { Relay } from './relay';
import { CHANNEL, CRON_NOTICE } from './table';

export interface OutboxTuning extends ReconcilerTuning {
  /** Longest pause of the relay between two looks, which stand in for lost notices, ms. Default 1,000. */
  readonly pollMs?: number;
  /** How often the ends that other processes left behind are looked for, ms. Default 10,000. */
  readonly sweepMs?: number;
}

interface OutboxServiceOptions {
  readonly database: Database;
  readonly redis: Redis;
  readonly events: Events;
  /** As `Database` takes it: whether TLS is the rule. */
  readonly production: boolean;
  readonly queues: readonly string[];
  readonly isRunning: (id: string) => boolean;
  /** Recurring jobs may have been paused, resumed or asked for. */
  readonly onCronNotice?: () => void;
  readonly tuning?: OutboxTuning | undefined;
}

/** The processor's work on the outbox: rows out to Redis, rows of finished jobs away, lost rows out again. */
export class OutboxService {
  private readonly relay: Relay;
  private readonly listener: OutboxListener;
  private readonly completer: Completer;
  private readonly reconciler: Reconciler;
  /** Closed where this database was copied from another installation, and nobody has adopted its jobs. */
  readonly gate: InstallationGate;
  private unsubscribe: (() => void) | undefined;

  constructor(private readonly options: OutboxServiceOptions) {
    const { database, redis, events, production, queues, isRunning, onCronNotice, tuning } = options;
    const { knex, url } = database;
    const { client } = redis;
    const report = (during: string) => (error: Error) => events.emit('queue.error', { error, during });
    this.gate = new InstallationGate({
      knex,
      redis: client,
      onForeign: (installation) => events.emit('installation.foreign', installation),
    });
    this.relay = new Relay({
      gate: this.gate,
      knex,
      redis: client,
      onError: report('copying the outbox to Redis'),
      pollMs: tuning?.pollMs,
    });
    this.listener = new OutboxListener({
      url,
      production,
      onNotice: (notice) => {
        if (notice === undefined) this.gate.forget();
        if (notice !== CRON_NOTICE) this.relay.trigger();
        if (notice !== '') onCronNotice?.();
      },
      onError: report('listening for new jobs'),
    });
    const onSettleError = report('recording the ends of jobs in Postgres');
    this.completer = new Completer({
      knex,
      redis: client,
      queues,
      onDropped: (dropped) => events.emit('dead.dropped', dropped),
      onError: onSettleError,
      sweepMs: tuning?.sweepMs,
    });
    this.reconciler = new Reconciler({
      mayDispatch: () => this.gate.opens(),
      knex,
      redis: client,
      isRunning,
      onNewLife: () => this.restorePauses().catch(report('pausing queues again')),
      onLost: (count) => {
        events.emit('outbox.redispatched', { count });
        this.relay.trigger();
      },
      onEmptied: () => events.emit('redis.emptied', {}),
      onRestored: (queue, count) => events.emit('queue.restored', { queue, count }),
      queues,
      onError: report('comparing the outbox with Redis'),
      tuning,
    });
  }

  start(): void {
    this.unsubscribe ??= this.options.events.on('redis.ready', () => {
      this.gate.forget();
      this.reconciler.trigger();
      this.relay.trigger();
    });
    this.completer.start();
    this.relay.start();
    this.listener.start();
    this.reconciler.start();
  }

  /** Queues whose rows stay here until there is room in Redis. */
  get fullQueues(): readonly string[] {
    return this.relay.fullQueues;
  }

  /** A job whose row may be here has its final outcome. */
  finished(queue: string, id: string): void {
    this.completer.add(queue, id);
  }

  /** A job has died, and is to be dead in Postgres. */
  died(queue: string, id: string): void {
    this.completer.addDead(queue, id);
  }

  /** Copies and compares no more; still settles. */
  async quiet(deadline: Deadline): Promise<void> {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    await deadline.wait(Promise.all([this.listener.stop(), this.relay.stop(), this.reconciler.stop()]));
  }

  private async restorePauses(): Promise<void> {
    const { database, redis, events } = this.options;
    for (const queue of await restorePauses(database.knex, redis.client)) {
      events.emit('process.warning', { message: `Redis had lost the pause of queue ${queue}: it is paused again` });
    }
  }

  async stop(deadline: Deadline): Promise<void> {
    await this.quiet(deadline);
    await deadline.wait(this.completer.stop());
  }
}

/** How often an idle connection is asked whether it still lives, ms: a lost one says nothing by itself. */
const KEEP_ALIVE_MS = 30_000;

interface ListenerOptions {
  readonly url: string;
  readonly production: boolean;
  /** A row was committed, or may have been while there was no connection; `notice` is what the note says, if it came. */
  readonly onNotice: (notice?: string) => void;
  /** Told of the first failure in a row only. */
  readonly onError: (error: Error) => void;
}

/** LISTENs on a connection of its own, for as long as it is started, through any number of lost ones. */
class OutboxListener {
  private client: Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = true;
  private readonly settings: ConnectionSettings;
  private readonly backoff = new Backoff({ base: 100, max: 5000 });

  constructor(private readonly options: ListenerOptions) {
    this.settings = connectionSettings(options.url, options.production);
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    void this.connect();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    const client = this.client;
    this.client = undefined;
    await client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const client = new pg.Client({ ...this.settings, query_timeout: 5000 });
    this.client = client;
    // Both may come, and after the other: `lost` counts the first only.
    client.on('error', (error) => this.lost(client, error));
    client.on('end', () => this.lost(client, new Error('Postgres ended the LISTEN connection')));
    client.on('notification', ({ payload }) => this.options.onNotice(payload));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.backoff.reset();
      this.options.onNotice();
      this.keepAlive(client);
    } catch (thrown) {
      this.lost(client, toError(thrown));
    }
  }

  private keepAlive(client: Client): void {
    if (this.client !== client) return;
    this.timer = setTimeout(() => {
      client.query('select 1').then(
        () => this.keepAlive(client),
        (error: unknown) => this.lost(client, toError(error)),
      );
    }, KEEP_ALIVE_MS);
  }

  private lost(client: Client, error: Error): void {
    if (this.client !== client) return;
    this.client = undefined;
    clearTimeout(this.timer);
    client.end().catch(() => undefined);
    if (this.backoff.attempts === 0) this.options.onError(withTlsAdvice(error, 'Postgres'));
    this.timer = setTimeout(() => void this.connect(), this.backoff.next());
  }
}
