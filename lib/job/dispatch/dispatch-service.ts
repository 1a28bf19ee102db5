import { TABLES } from '../../core/config';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import type { Database } from '../../model/database';
import { ClockWatch } from '../../support/clock-watch';
import type { Deadline } from '../../support/deadline';
import type { Progress } from '../../support/progress';
import type { Limits } from '../definition/limits';
import type { Hints } from '../hint/hints';
import { type Notice, notify } from '../hint/notifier';
import type { RescuedJob } from '../row/rescue';
import { Dispatcher, type DispatcherTuning } from './dispatcher';
import type { Gate } from './gate';
import { JobListener } from './listener';

/** The dispatcher counts as idle after this time without a sign of work, ms. */
const IDLE_AFTER_MS = 60_000;

export interface DispatchTuning extends DispatcherTuning {
  /** How long a notification that the processor sends to itself may take, ms. Default 5,000. */
  readonly echoMs?: number;
  /** The wall clock that is watched for jumps, ms, and the interval of the checks. Default: each 5 s. */
  readonly clock?: { readonly wall: () => number; readonly everyMs: number };
}

interface DispatchServiceOptions {
  readonly database: Database;
  /** Reaches Postgres itself, not a pooler in front of it. Default: the database's own URL. */
  readonly listenUrl?: string | undefined;
  /** undefined: there is no Redis. */
  readonly redis: Redis | undefined;
  readonly hints: Hints | undefined;
  readonly gate: Gate;
  readonly limits: Limits;
  readonly events: Events;
  /** true: TLS is the default for connections to Postgres, as in `Database`. */
  readonly production: boolean;
  /** Unique among all processors; the dispatchers of other trees know this one by it. */
  readonly identity: string;
  /** Called when jobs may be ready. @param unhinted true: no hint announces them, so that only Postgres knows of them. */
  readonly onMayBeReady: (unhinted: boolean) => void;
  readonly onPrioritised: () => void;
  /** Called when recurring jobs may have been paused, resumed or triggered. */
  readonly onCronNotice: () => void;
  /** Called when running jobs may have been asked to cancel. */
  readonly onCancelNotice: () => void;
  /** Called with jobs that were returned to their queues, since their processor is silent. */
  readonly onRescued: (jobs: readonly RescuedJob[]) => void;
  /** Called when timers may be late, since the clock was set or the machine has slept. */
  readonly onClockJump: () => void;
  readonly tuning?: DispatchTuning | undefined;
}

/** The dispatcher of this process, and what tells it when to look: notifications of Postgres, Redis, the clock. */
export class DispatchService {
  private readonly dispatcher: Dispatcher;
  private readonly listener: JobListener;
  private readonly clock: ClockWatch;
  private readonly unsubscribes: (() => void)[] = [];
  /** Time of the last sign of work, ms on the monotonic clock. */
  private activeAt = performance.now();

  constructor(private readonly options: DispatchServiceOptions) {
    const { database, listenUrl, redis, hints, gate, limits, events, production, identity, tuning } = options;
    const { knex, url } = database;
    this.dispatcher = new Dispatcher({
      knex,
      redis: redis?.client,
      hints,
      gate,
      limits,
      onUnhinted: () => this.unhinted(),
      onPrioritised: () => this.prioritised(),
      onRescued: options.onRescued,
      onDropped: (dropped) => events.emit('dead.dropped', dropped),
      onUnsealed: ({ id, description }) => events.emit('process.warning', { message: unsealed(id, description) }),
      onError: this.report('looking for jobs that are due'),
      id: identity,
      isNotified: () => this.listener.isNotified === true,
      onMessageSent: (sentAt) => this.listener.expectEcho(sentAt),
      checkClock: () => this.clock.check(),
      tuning,
    });
    this.listener = new JobListener({
      url: listenUrl ?? url,
      production,
      echoMs: tuning?.echoMs,
      // The notification is sent through the pool: a pooler may well return it to the connection that sent it.
      sendEcho: async (token) => {
        await knex.raw('select pg_notify(?, ?)', [TABLES.echoChannel, token]);
      },
      onNotifications: (isNotified) => events.emit(isNotified ? 'notifications.restored' : 'notifications.lost', {}),
      onNotice: (notice) => this.noticed(notice as Notice | undefined),
      onLeader: (message) => this.dispatcher.heard(message),
      // Without notifications the dispatcher looks often again.
      onLost: () => this.dispatcher.distrust(),
      onError: this.report('listening for new jobs'),
    });
    this.clock = new ClockWatch({
      ...tuning?.clock,
      onJump: (ms) => this.clockJumped(ms),
      onStandstill: () => this.dispatcher.distrust(),
    });
  }

  private report(during: string): (error: Error) => void {
    return (error) => this.options.events.emit('queue.error', { error, during });
  }

  start(): void {
    const { events } = this.options;
    if (this.unsubscribes.length === 0)
      this.unsubscribes.push(
        events.on('redis.ready', () => {
          this.activeAt = performance.now();
          this.dispatcher.recover();
          this.options.onMayBeReady(false);
        }),
        events.on('job.dead', () => this.dispatcher.died()),
      );
    this.clock.start();
    this.dispatcher.task.start();
    this.listener.start();
  }

  /** Call while jobs begin, at least once a second. */
  begun(): void {
    this.activeAt = performance.now();
    this.dispatcher.begun();
  }

  private noticed(notice: Notice | undefined): void {
    const { gate, redis, onMayBeReady, onPrioritised, onCronNotice, onCancelNotice } = this.options;
    this.activeAt = performance.now();
    if (notice === undefined || notice === 'pauses') gate.forget();
    if (notice === undefined || notice === 'cron') onCronNotice();
    if (notice === undefined || notice === 'cancel') onCancelNotice();
    if (notice === undefined || notice === 'pauses' || notice === 'prioritised') onPrioritised();
    if (notice === 'cron' || notice === 'cancel' || notice === 'prioritised') return;
    if (notice === undefined) this.dispatcher.recover();
    // Of jobs that cannot be hinted at the processors are told at once, below.
    else this.dispatcher.trigger(notice === 'hinted' || notice === 'unhinted');
    // Hints of a tree with Redis tell a processor without it nothing.
    if (notice !== 'hinted' || !redis) onMayBeReady(notice === 'unhinted');
  }

  /** Jobs are ready that cannot be hinted at. This process looks for them even if notifications do not arrive here. */
  private unhinted(): void {
    const { database, onMayBeReady } = this.options;
    onMayBeReady(true);
    notify(database.knex, 'unhinted').catch(() => undefined);
  }

  /** Tells all processors, this one even if notifications do not arrive here. */
  private prioritised(): void {
    this.options.onPrioritised();
    notify(this.options.database.knex, 'prioritised').catch(() => undefined);
  }

  /** Timers that were set before a jump do not know what is due after it. */
  private clockJumped(ms: number): void {
    const { events, onClockJump } = this.options;
    events.emit('clock.set', { ms });
    this.dispatcher.distrust();
    onClockJump();
  }

  /** false: notifications of Postgres do not arrive, so the dispatcher looks each second; null: not known yet. */
  get listening(): boolean | null {
    return this.listener.isNotified;
  }

  get progress(): Progress {
    return this.dispatcher.progress;
  }

  get listenProgress(): Progress {
    return this.listener.progress;
  }

  /**
   * true: nothing has happened for a minute, and notifications arrive. Then this process sends Postgres only a few queries an
   * hour, so that a database which suspends itself when it is not used can do so.
   */
  get isIdle(): boolean {
    return this.listener.isNotified === true && performance.now() - this.activeAt > IDLE_AFTER_MS;
  }

  /** true: its dispatcher waits for no other tree's. */
  get leads(): boolean {
    return this.dispatcher.leads;
  }

  /** Idempotent. */
  async stop(deadline: Deadline): Promise<void> {
    for (const end of this.unsubscribes.splice(0)) end();
    this.clock.stop();
    await deadline.wait(Promise.all([this.listener.stop(), this.stopDispatcher()]));
  }

  private async stopDispatcher(): Promise<void> {
    const { task, leadership } = this.dispatcher;
    if (task.stopped) return;
    await this.dispatcher.stop();
    if (!leadership.isLeader) return;
    // Without this the other dispatchers would wait for the grace period.
    const { knex } = this.options.database;
    await knex.raw("select pg_notify(?, '')", [TABLES.leaderChannel]).catch(() => undefined);
  }
}

function unsealed(id: string, description: string): string {
  const named = description === '' ? id : `${id} (${description})`;
  return `the batch ${named} was not filled to its end: catamount jobs batch seal ${id} lets it end, catamount jobs batch cancel ${id} takes it back`;
}
