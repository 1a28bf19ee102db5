import { TABLES } from '../../core/config';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import type { Database } from '../../model/database';
import type { Deadline } from '../../support/async';
import { ClockWatch } from '../../support/clock-watch';
import type { Progress } from '../../support/progress';
import { restorePauses } from '../queue/queue-upkeep';
import { Completer } from './completer';
import { NOTIFIED_CHANNEL } from './insert';
import { InstallationGate } from './installation';
import { OutboxListener } from './listener';
import { Reconciler, type ReconcilerTuning } from './reconciler';
import { Relay } from './relay';
import { CRON_NOTICE, sendEcho } from './table';

export interface OutboxTuning extends ReconcilerTuning {
  /** Pause of the relay between two polls, which make up for lost notifications, ms. Default 1,000, growing to 900,000. */
  readonly pollMs?: number;
  /** How long a relay waits for the one that leads, ms. Default 700 to 1,050. */
  readonly graceMs?: number;
  /** Interval of the completer's sweep for ids that other processes left behind, ms. Default 10,000. */
  readonly sweepMs?: number;
  /** How long a notification that the processor sends to itself may take, ms. Default 5,000. */
  readonly echoMs?: number;
  /** How long a notification that another process has announced may take, ms. Default 1,000. */
  readonly noticeMs?: number;
  /** The wall clock that is watched for jumps, ms, and the interval of the checks. Default: each 5 s. */
  readonly clock?: { readonly wall: () => number; readonly everyMs: number };
}

interface OutboxServiceOptions {
  readonly database: Database;
  /** Reaches Postgres itself, not a pooler in front of it. Default: the database's own URL. */
  readonly listenUrl?: string | undefined;
  readonly redis: Redis;
  readonly events: Events;
  /** true: TLS is the default for connections to Postgres, as in `Database`. */
  readonly production: boolean;
  /** Unique among all processors; the relays of other trees know this one by it. Default: random. */
  readonly identity?: string | undefined;
  readonly queues: readonly string[];
  readonly isRunning: (id: string) => boolean;
  /** Called when recurring jobs may have been paused, resumed or triggered. */
  readonly onCronNotice?: () => void;
  /** Called when timers may be late, since the clock was set or the machine has slept. */
  readonly onClockJump?: () => void;
  readonly tuning?: OutboxTuning | undefined;
}

/**
 * The processor's work on the outbox: it dispatches rows, deletes those of finished jobs, and redispatches lost ones.
 */
export class OutboxService {
  private readonly relay: Relay;
  private readonly listener: OutboxListener;
  private readonly completer: Completer;
  private readonly reconciler: Reconciler;
  /** Closed while this database is a copy of another installation's and its jobs have not been adopted. */
  readonly gate: InstallationGate;
  private readonly clock: ClockWatch;
  private unsubscribe: (() => void) | undefined;
  /** Time of the last sign of work in the outbox, ms on the monotonic clock. */
  private activeAt = performance.now();

  constructor(private readonly options: OutboxServiceOptions) {
    const { database, listenUrl, redis, events, production, identity, queues, isRunning, onCronNotice, tuning } =
      options;
    const { knex, url } = database;
    const { client } = redis;
    const isIdle = () => this.isIdle;
    this.gate = new InstallationGate({
      knex,
      redis: client,
      onForeign: (installation) => events.emit('installation.foreign', installation),
    });
    this.relay = new Relay({
      gate: this.gate,
      knex,
      redis: client,
      onError: this.report('copying the outbox to Redis'),
      pollMs: tuning?.pollMs,
      id: identity,
      graceMs: tuning?.graceMs,
      hears: () => this.listener.hears === true,
      onNotified: (sentAt) => this.listener.expectEcho(sentAt),
    });
    this.listener = new OutboxListener({
      url: listenUrl ?? url,
      production,
      echoMs: tuning?.echoMs,
      noticeMs: tuning?.noticeMs,
      // It is sent through the pool, since a pooler may well return a notification to the connection that sent it.
      sendEcho: (token) => sendEcho(knex, token),
      onHearing: (hears) => events.emit(hears ? 'listen.hears' : 'listen.deaf', {}),
      onNotice: (notice) => {
        this.activeAt = performance.now();
        if (notice === undefined) {
          this.gate.forget();
          this.relay.recover();
        } else if (notice !== CRON_NOTICE) this.relay.trigger();
        if (notice !== '') onCronNotice?.();
      },
      onRelay: (message) => this.relay.heard(message),
      // Without notifications the relay polls often again.
      onLost: () => this.relay.recover(),
      onError: this.report('listening for new jobs'),
    });
    this.clock = new ClockWatch({ ...tuning?.clock, onJump: (ms) => this.clockJumped(ms) });
    const onCompleteError = this.report('recording the outcomes of jobs in Postgres');
    this.completer = new Completer({
      knex,
      redis: client,
      queues,
      onDropped: (dropped) => events.emit('dead.dropped', dropped),
      onError: onCompleteError,
      isIdle,
      sweepMs: tuning?.sweepMs,
    });
    this.reconciler = new Reconciler({
      mayDispatch: () => this.gate.opens(),
      leads: () => this.relay.leads,
      isIdle,
      knex,
      redis: client,
      isRunning,
      onNewRun: () => this.restorePauses().catch(this.report('restoring the pauses of queues')),
      onLost: (count) => {
        events.emit('outbox.redispatched', { count });
        // The relay that leads has not heard of them.
        this.relay.recover();
      },
      onEmptied: () => events.emit('redis.emptied', {}),
      onRestored: (queue, count) => events.emit('queue.restored', { queue, count }),
      queues,
      onError: this.report('comparing the outbox with Redis'),
      tuning,
    });
  }

  private report(during: string): (error: Error) => void {
    return (error) => this.options.events.emit('queue.error', { error, during });
  }

  start(): void {
    const { events, redis } = this.options;
    redis.listen(NOTIFIED_CHANNEL, (ageMs) => this.listener.expectNotice(Number(ageMs)));
    const onReady = () => {
      this.activeAt = performance.now();
      this.gate.forget();
      this.reconciler.trigger();
      this.relay.trigger();
    };
    this.unsubscribe ??= events.on('redis.ready', onReady);
    this.clock.start();
    this.completer.task.start();
    this.relay.start();
    this.listener.start();
    this.reconciler.task.start();
  }

  /** Call when Redis may have lost its data. */
  compareSoon(): void {
    this.reconciler.lookSoon();
  }

  /** Timers that were set before a jump do not know what is due after it. */
  private clockJumped(ms: number): void {
    const { events, onClockJump } = this.options;
    const message = `the clock was set ${ms < 0 ? 'back' : 'forward'} by ${Math.abs(Math.round(ms / 1000))} s, or the machine has slept: whatever is due by now runs`;
    events.emit('process.warning', { message });
    this.relay.recover();
    onClockJump?.();
  }

  /** false: notifications of Postgres do not arrive, so the relay's polls find new rows; null: not known yet. */
  get listening(): boolean | null {
    return this.listener.hears;
  }

  get relayProgress(): Progress {
    return this.relay.progress;
  }

  get listenProgress(): Progress {
    return this.listener.progress;
  }

  /**
   * true: nothing has happened in the outbox for a minute, and notifications arrive. Then Postgres gets only a few
   * queries an hour from here, so that a database which suspends itself when it is not used can do so.
   */
  get isIdle(): boolean {
    return this.listener.hears === true && performance.now() - this.activeAt > IDLE_AFTER_MS;
  }

  /** true: its relay waits for no other tree's. */
  get leads(): boolean {
    return this.relay.leads;
  }

  /** Queues whose rows stay in the outbox until Redis has room. */
  get fullQueues(): readonly string[] {
    return this.relay.fullQueues;
  }

  /** Call when a job that may have a row has its final outcome. */
  finished(queue: string, id: string): void {
    this.activeAt = performance.now();
    this.completer.add(queue, id);
  }

  /** Call when a job has died, so that it is handed over to Postgres. */
  died(queue: string, id: string): void {
    this.activeAt = performance.now();
    this.completer.addDead(queue, id);
  }

  /** Stops dispatching and comparing; the completer goes on. */
  async quiet(deadline: Deadline): Promise<void> {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    this.clock.stop();
    await deadline.wait(Promise.all([this.listener.stop(), this.stopRelay(), this.reconciler.task.stop()]));
  }

  private async stopRelay(): Promise<void> {
    const { task, leadership } = this.relay;
    await task.stop();
    if (!leadership.isLeader) return;
    // Without this the other relays would wait for the grace period.
    const { knex } = this.options.database;
    await knex.raw("select pg_notify(?, '')", [TABLES.relayChannel]).catch(() => undefined);
  }

  private async restorePauses(): Promise<void> {
    const { database, redis, events } = this.options;
    for (const queue of await restorePauses(database.knex, redis.client)) {
      events.emit('process.warning', { message: `Redis had lost the pause of queue ${queue}: it is paused again` });
    }
  }

  async stop(deadline: Deadline): Promise<void> {
    await this.quiet(deadline);
    await deadline.wait(this.completer.task.finish());
  }
}

/** The outbox counts as idle after this time without a sign of work, ms. */
const IDLE_AFTER_MS = 60_000;
