import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { STOP_PHASES } from '../../core/shutdown';
import { Backoff, type Deadline, deferred } from '../../support/async';
import { Backlog } from '../../support/backlog';
import { PeriodicTask } from '../../support/periodic-task';
import { type ChildProcess, reportOutput } from '../child-process';
import type { BootFailure, BroadcastMessage, FromSubscriber, Incoming, StopMessage } from '../messages';
import { type Activity, endingOf, type NextRestart, type RestartReason, type Termination } from '../status';

/** Maximum age of the last message from a healthy child, ms; an older one means a blocked event loop. */
const HEALTHY_MS = 3000;
/** Interval of the search for unresponsive children, ms. */
const WATCH_INTERVAL_MS = 500;
/** A crash loop is this many deaths in a row, each soon after a start. */
export const CRASH_LOOP_DEATHS = 5;

export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Time without any message after which a child is killed, ms. */
export interface HeartbeatLimits {
  readonly timeoutMs: number;
  /** Limit from the fork until it is ready: it loads its code before it sends anything. */
  readonly bootTimeoutMs: number;
}

interface Message {
  readonly catamount: string;
}

/** Passes a broadcast of a child on to the tree's other processes. */
export type RelayBroadcast = (frame: string, from: ChildHandle) => void;

/**
 * The primary's view of a forked child: booting → ready → draining → exited; it may exit from any state. Only `exit`
 * ends it: a killed child may not emit `disconnect`.
 */
export abstract class ChildHandle<In extends Message = Message, Out extends Message = Message> {
  readonly startedAt = new Date();
  /** Resolves when the child is ready; never, if it dies before. */
  readonly ready = deferred();
  readonly exited = deferred<ChildExit>();
  /** Its report that it cannot start. */
  failure: BootFailure | undefined;
  /** Its termination; null while it lives. */
  termination: Termination | null = null;
  /** True once it was sent SIGKILL, for being unresponsive or at a deadline. */
  killed = false;
  /** True once it was asked to stop. */
  wasDraining = false;
  /** Deadline of its drain. */
  drainUntil: Date | undefined;
  lastCheckin: Date | undefined;
  protected lifecycle: 'booting' | 'ready' | 'draining' | 'exited' = 'booting';
  private readonly forkedAt = performance.now();
  private heardAt = this.forkedAt;
  private readyAt: number | undefined;
  /** True when it was killed because it was unresponsive, or not ready in time. */
  private timedOut = false;
  private blocked: Pick<Termination, 'heartbeatAgeMs' | 'activity'> = { heartbeatAgeMs: null, activity: null };
  private readonly recentStderr: readonly string[];
  private subscribes = false;
  private readonly backlog: Backlog;

  /** @param name in the log: `worker 0`. @param output prefix of its stray output: `web.0`. */
  constructor(
    protected readonly child: ChildProcess,
    readonly name: string,
    output: string,
    protected readonly events: Events,
  ) {
    this.recentStderr = reportOutput(child, output, events);
    this.backlog = new Backlog(() => events.emit('broadcast.dropped', { to: name }));
    child.on('message', (given: unknown, connection: unknown) => {
      const message = given as Incoming<In>;
      if (!message?.catamount) return;
      this.heardAt = performance.now();
      this.receive(message, connection);
    });
    child.on('error', (error) => {
      // With a pid, a message could not be delivered: the exit that follows reports the end.
      if (child.pid !== undefined) return;
      // The fork failed, for want of memory or pids: no exit will follow.
      events.emit('process.error', { error, during: `starting the ${name}` });
      void this.exit(null, null);
    });
    child.once('exit', (code, signal) => void this.exit(code, signal));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** True if it was ever ready. */
  get wasReady(): boolean {
    return this.readyAt !== undefined;
  }

  /** Time since it became ready, ms; 0 if it never was. */
  get servedMs(): number {
    return this.readyAt === undefined ? 0 : performance.now() - this.readyAt;
  }

  get bootMs(): number {
    return Math.round((this.readyAt ?? performance.now()) - this.forkedAt);
  }

  /** Time since its last message, ms. */
  get heartbeatAgeMs(): number {
    return Math.round(performance.now() - this.heardAt);
  }

  /** True while it is ready and responsive. */
  get isHealthy(): boolean {
    return this.lifecycle === 'ready' && this.heartbeatAgeMs < HEALTHY_MS;
  }

  /** True if it never became ready and another try cannot help. */
  get isPermanentFailure(): boolean {
    return this.timedOut || this.failure?.final === true;
  }

  /**
   * Error that keeps the tree from starting, if nothing of this kind was ever ready: the child reported a final
   * failure.
   */
  get refusal(): UserError | undefined {
    if (!this.failure?.final) return undefined;
    return new UserError(`Catamount cannot start: ${this.failure.message}`, this.failure.exitCode);
  }

  /** The child as a candidate for the tree's reporter. */
  get reporterCandidate(): ReporterCandidate {
    return { pid: this.pid, healthy: this.isHealthy, appoint: (on) => this.setReporter(on) };
  }

  get deathReason(): RestartReason {
    if (this.timedOut) return 'timeout';
    return this.wasReady ? 'crash' : 'boot';
  }

  /** The reason for its end, for people. */
  get exitMessage(): string {
    if (!this.termination) return '';
    if (this.timedOut && !this.wasReady) return 'it was not ready in time';
    return this.termination.message ?? endingOf(this.termination);
  }

  send(message: Out | StopMessage): void {
    if (this.child.connected) this.child.send(message);
  }

  /** Sends it a broadcast of another process, if it subscribes. */
  pass(frame: string): void {
    if (!this.subscribes || !this.child.connected) return;
    const written = this.backlog.take(frame.length);
    if (written) this.child.send({ catamount: 'broadcast', frame } satisfies BroadcastMessage, written);
  }

  /**
   * Asks it to finish its work and exit; kills it at the deadline. May be called several times.
   * @param handOff true: a worker that hands off its idle connections. It is killed sooner, since others need time for these.
   */
  async stop(deadline: Deadline, handOff = false): Promise<StopOutcome> {
    if (!this.wasDraining && this.lifecycle !== 'exited') {
      this.lifecycle = 'draining';
      this.wasDraining = true;
      const remainingMs = deadline.part(STOP_PHASES.drain).remaining();
      this.drainUntil = new Date(Date.now() + remainingMs);
      this.send({ catamount: 'stop', remainingMs, handOff });
    }
    const killAt = handOff ? deadline.part(STOP_PHASES.handOff) : deadline;
    const late = (await killAt.wait(this.exited.promise)) === 'late';
    if (late) this.kill('the deadline has passed');
    const { code } = await this.exited.promise;
    // A child that was never ready had no work to finish.
    return late ? { killed: 1, failed: 0 } : { killed: 0, failed: code !== 0 && this.wasReady ? 1 : 0 };
  }

  /** Ends it with SIGKILL. */
  kill(reason: string): void {
    this.killed = true;
    this.events.emit('child.killed', { child: this.name, pid: this.pid, reason });
    this.child.kill('SIGKILL');
  }

  /**
   * Kills it when it is unresponsive: no heartbeat means a blocked event loop or a stopped process. Called regularly.
   */
  watch({ timeoutMs, bootTimeoutMs }: HeartbeatLimits): void {
    if (this.killed || this.wasDraining || this.lifecycle === 'exited') return;
    if (this.lifecycle === 'booting') {
      if (performance.now() - this.forkedAt < bootTimeoutMs) return;
      this.timedOut = true;
      this.kill(`not ready after ${bootTimeoutMs / 1000} s`);
      return;
    }
    const { heartbeatAgeMs } = this;
    if (heartbeatAgeMs < timeoutMs) return;
    this.timedOut = true;
    this.blocked = { heartbeatAgeMs, activity: this.reportUnresponsive(heartbeatAgeMs) };
    this.kill(`no heartbeat for ${Math.round(heartbeatAgeMs / 1000)} s`);
  }

  /** Takes what it has to say about broadcasts. */
  hearSubscriber(message: FromSubscriber, relay: RelayBroadcast): void {
    if (message.catamount === 'subscribe') this.subscribes = true;
    else relay(message.frame, this);
  }

  abstract setReporter(on: boolean): void;
  protected abstract receive(message: In, connection: unknown): void;
  /** Emits the event for an unresponsive child. @returns its work in flight by its last message; null if unknown. */
  protected abstract reportUnresponsive(heartbeatAgeMs: number): Activity | null;
  /** Called after its exit; `exited` resolves when this has. */
  protected async left(): Promise<void> {}

  protected becomeReady(): void {
    if (this.lifecycle === 'booting') this.lifecycle = 'ready';
    this.readyAt ??= performance.now();
  }

  private async exit(code: number | null, signal: string | null): Promise<void> {
    this.lifecycle = 'exited';
    const message = this.failure?.message ?? (this.recentStderr.join(' / ') || null);
    this.termination = {
      at: new Date().toISOString(),
      reason: this.deathReason,
      message,
      code,
      signal,
      ...this.blocked,
    };
    await this.left();
    this.exited.resolve({ code, signal });
  }
}

/** How a tree's processes ended. The primary exits with 1 if either number is above 0 (`role/start/primary`). */
export interface StopOutcome {
  /** Processes that were killed, at the deadline of the stop or of their own phase. */
  readonly killed: number;
  /** Processes that ended by themselves, but aborted requests or failed with an error. Jobs that were returned do not count. */
  readonly failed: number;
}

export function sumOutcomes(outcomes: readonly StopOutcome[]): StopOutcome {
  const sum = (of: keyof StopOutcome) => outcomes.reduce((total, outcome) => total + outcome[of], 0);
  return { killed: sum('killed'), failed: sum('failed') };
}

/** Kills children that are unresponsive or not ready in time; their owners replace them. The task has to be started. */
export function killUnresponsive(
  children: () => readonly ChildHandle[],
  limits: HeartbeatLimits,
  events: Events,
): PeriodicTask {
  return new PeriodicTask({
    everyMs: WATCH_INTERVAL_MS,
    work: async () => {
      for (const child of children()) child.watch(limits);
      return undefined;
    },
    onError: (error) => events.emit('process.error', { error, during: 'looking for children that do not answer' }),
  });
}

export interface RestartOptions {
  /** First wait, ms. Default 100. */
  readonly base?: number;
  /** Longest wait, ms. Default 30,000. */
  readonly max?: number;
  /**
   * A child that served this long, ms, resets the backoff when it dies. Otherwise requests or jobs that each kill a
   * child now and then would lengthen the waits until nobody serves the others. Default 5000.
   */
  readonly stableMs?: number;
}

/** Schedules restarts with exponential backoff, which a child that served for a while resets. */
export class RestartPolicy {
  /** The last termination; null if there was none. */
  last: Termination | null = null;
  /** The scheduled restart; null when none is. */
  next: NextRestart | null = null;
  private readonly backoff: Backoff;
  private readonly stableMs: number;
  /** Consecutive deaths before ready. */
  private bootDeaths = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: RestartOptions = {}) {
    this.backoff = new Backoff({ base: options.base ?? 100, max: options.max ?? 30_000 });
    this.stableMs = options.stableMs ?? 5000;
  }

  /** Reports that a child is ready. */
  served(): void {
    this.bootDeaths = 0;
    this.next = null;
  }

  /** Calls `again` after the next wait. @returns that wait, ms, and the number of the attempt. */
  schedule(servedMs: number, again: () => void): { waitMs: number; attempt: number } {
    if (servedMs >= this.stableMs) this.backoff.reset();
    const waitMs = this.backoff.next();
    const attempt = this.backoff.attempts;
    this.timer = setTimeout(again, waitMs);
    this.next = { at: new Date(Date.now() + waitMs).toISOString(), attempt };
    return { waitMs, attempt };
  }

  cancel(): void {
    clearTimeout(this.timer);
  }

  /**
   * Counts the death if the child was never ready.
   * @param mostDeaths in a row after which another try is useless, if no child of its kind was ever ready.
   * @returns the error that keeps the tree from starting; undefined while another try may help.
   */
  bootDied(dead: ChildHandle, mostDeaths: number): UserError | undefined {
    if (!dead.wasReady) this.bootDeaths++;
    const { refusal, name, exitMessage } = dead;
    if (refusal || this.bootDeaths < mostDeaths) return refusal;
    return new UserError(`Catamount cannot start: ${name} died ${this.bootDeaths} times at boot: ${exitMessage}`);
  }
}

/** A process that can be the tree's reporter in Redis. */
export interface ReporterCandidate {
  readonly pid: number;
  /** True while it serves and is responsive. */
  readonly healthy: boolean;
  appoint(on: boolean): void;
}

const CHECK_MS = 1000;

/**
 * Appoints one process of the tree to report its status to Redis, which would make the primary too large. Two reporters
 * for a moment do no harm: they write the same.
 */
export class ReporterElection {
  readonly task: PeriodicTask;
  private current: ReporterCandidate | undefined;

  /** @param candidates in order of preference. */
  constructor(
    private readonly candidates: () => readonly ReporterCandidate[],
    events: Events,
  ) {
    this.task = new PeriodicTask({
      everyMs: CHECK_MS,
      work: async () => this.check(),
      onError: (error) => events.emit('process.error', { error, during: "appointing the tree's reporter" }),
    });
  }

  check(): undefined {
    const candidates = this.candidates();
    const current = candidates.find(({ pid }) => pid === this.current?.pid);
    if (current?.healthy) return;
    const next = candidates.find(({ healthy }) => healthy);
    if (!next) return;
    current?.appoint(false);
    next.appoint(true);
    this.current = next;
  }
}
