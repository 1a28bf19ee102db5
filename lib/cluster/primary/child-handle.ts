import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { ProcessMetrics } from '../../core/process-metrics';
import { STOP_PHASES } from '../../core/shutdown';
import { Backlog } from '../../support/backlog';
import type { Deadline } from '../../support/deadline';
import { deferred } from '../../support/deferred';
import { toError } from '../../support/to-error';
import { type Child, reportOutput } from '../child-process';
import {
  type BootFailure,
  type BroadcastMessage,
  type FromSubscriber,
  HEARTBEAT_INTERVAL_MS,
  type Incoming,
  type StopMessage,
} from '../messages';
import {
  type Activity,
  CHILD_SILENT_MS,
  endingOf,
  type ProcessStacks,
  type RestartReason,
  type Termination,
  type WorkInFlight,
} from '../status';
import { ANSWER_LIMIT_MS, ChildInspector } from './child-inspector';
import type { InspectorSession } from './inspector-session';

/** Maximum age of the last message from a healthy child, ms; an older one means a blocked event loop. */
const HEALTHY_MS = 3000;

/** An event loop lags that is blocked, or whose delays reach this in each second, ms. After this time, ms, it is reported. */
const LAG_MS = 500;
const LAGS_FOR_MS = 10_000;
/** Two heartbeats: one may be late. */
const BEAT_MS = 2 * HEARTBEAT_INTERVAL_MS;

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
  /** The child's report that it cannot start. */
  failure: BootFailure | undefined;
  /** How the child ended; null while it lives. */
  termination: Termination | null = null;
  /** True once it was sent SIGKILL, for being unresponsive or at a deadline. */
  killed = false;
  /** True once it was asked to stop. */
  wasDraining = false;
  drainUntil: Date | undefined;
  lastCheckin: Date | undefined;
  protected lifecycle: 'booting' | 'ready' | 'draining' | 'exited' = 'booting';
  /** Monotonic clock, ms. */
  readonly forkedAt = performance.now();
  private heardAt = this.forkedAt;
  private readyAt: number | undefined;
  /** True when it was killed because it was unresponsive, or not ready in time. */
  private timedOut = false;
  private blocked: Pick<Termination, 'heartbeatAgeMs' | 'activity'> = { heartbeatAgeMs: null, activity: null };
  private readonly recentStderr: readonly string[];
  /** Sends the message again: Node drops what reaches a cluster worker before it listens. Nothing before `stop`. */
  protected sendStop: () => void = () => undefined;
  private readonly inspector: ChildInspector;
  /** Set while it is about to be killed: what it runs is read first. */
  private condemned = false;
  /** The innermost call of what it ran then. */
  private ran: string | undefined;
  private standsStill = false;
  /** Beginning of its lag; infinite once that was reported. */
  private lagsSince: number | undefined;
  private subscribes = false;
  private readonly backlog: Backlog;

  /** @param name in the log: `worker 0`. @param output prefix of its stray output: `web.0`. */
  constructor(
    protected readonly child: Child,
    readonly name: string,
    output: string,
    protected readonly events: Events,
  ) {
    this.inspector = new ChildInspector(this.pid, () =>
      events.emit('process.warning', {
        message: `${name} (pid ${this.pid}) got SIGUSR1: its inspector is closed again`,
      }),
    );
    this.recentStderr = reportOutput(child, output, events, (url) =>
      url === null ? this.inspector.cut() : this.inspector.heard(url),
    );
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

  /** true: a part of this process. */
  get isInProcess(): boolean {
    return this.child.pid === process.pid;
  }

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

  /** True while it is ready and unresponsive. */
  get isSilent(): boolean {
    return this.lifecycle === 'ready' && this.heartbeatAgeMs > CHILD_SILENT_MS;
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
    const { failure, isInProcess } = this;
    if (!failure || !(failure.final || isInProcess)) return undefined;
    return new UserError(`Catamount cannot start: ${failure.message}`, failure.exitCode);
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
    const message: BroadcastMessage = { catamount: 'broadcast', frame };
    if (written) this.child.send(message, undefined, undefined, written);
  }

  /**
   * Asks it to finish its work and exit; kills it at the deadline. May be called several times.
   * @param handOff true: a worker that hands off its idle connections. It is killed sooner, since others need time for these.
   */
  async stop(deadline: Deadline, handOff = false): Promise<StopOutcome> {
    if (!this.wasDraining && this.lifecycle !== 'exited') {
      this.inspector.cut();
      this.lifecycle = 'draining';
      this.wasDraining = true;
      const drain = deadline.part(STOP_PHASES.drain);
      this.drainUntil = new Date(Date.now() + drain.remaining());
      this.sendStop = () => this.send({ catamount: 'stop', remainingMs: drain.remaining(), handOff });
      this.sendStop();
    }
    const killAt = handOff ? deadline.part(STOP_PHASES.handOff) : deadline;
    const nearlyLate = (await killAt.part(STOP_PHASES.stacks).wait(this.exited.promise)) === 'late';
    const stacks = nearlyLate ? this.stacks(killAt.remaining()) : undefined;
    const late = (await killAt.wait(this.exited.promise)) === 'late';
    if (late && stacks) this.report(await stacks);
    if (late) this.kill('the deadline has passed');
    const { code } = await this.exited.promise;
    // A child that was never ready had no work to finish.
    return late ? { killed: 1, failed: 0 } : { killed: 0, failed: code !== 0 && this.wasReady ? 1 : 0 };
  }

  /** Reads what it runs. */
  async stacks(limitMs = ANSWER_LIMIT_MS): Promise<ProcessStacks> {
    const about = { process: this.name, pid: this.pid, inFlight: this.inFlight };
    try {
      const { readThreads } = await import('./thread-stacks');
      return { ...about, threads: await this.inspector.use(limitMs, readThreads), failure: null };
    } catch (error) {
      return { ...about, threads: [], failure: toError(error).message };
    }
  }

  /**
   * Asks its inspector for what takes longer.
   * @param standsStill true: it does nothing else meanwhile, for which it is not killed.
   * @throws as `ChildInspector.use` does.
   */
  async inspect<T>(limitMs: number, work: (session: InspectorSession) => Promise<T>, standsStill: boolean): Promise<T> {
    this.standsStill = standsStill;
    try {
      return await this.inspector.use(limitMs, work);
    } finally {
      if (this.standsStill) this.heardAt = performance.now();
      this.standsStill = false;
    }
  }

  /** Logs what it runs. */
  report({ threads, failure }: ProcessStacks): void {
    this.events.emit('child.stacks', { child: this.name, pid: this.pid, threads, failure });
  }

  /** Logs what it runs, and ends it with SIGKILL. */
  private async condemn(reason: string): Promise<void> {
    this.condemned = true;
    const stacks = await this.stacks();
    if (this.termination) return;
    const [frame] = stacks.threads[0]?.frames ?? [];
    if (frame !== undefined) this.ran = `it was blocked ${frame}`;
    this.report(stacks);
    this.kill(reason);
  }

  /** Ends it with SIGKILL. */
  kill(reason: string): void {
    this.killed = true;
    this.events.emit('child.killed', { child: this.name, pid: this.pid, reason });
    this.child.kill('SIGKILL');
  }

  /** Reports it when it lags for long. */
  private noteLag(): void {
    const lags =
      this.lifecycle === 'ready' && Math.max(this.heartbeatAgeMs - BEAT_MS, this.status?.lagP99Ms ?? 0) >= LAG_MS;
    if (!lags) this.lagsSince = undefined;
    else this.lagsSince ??= performance.now();
    if (this.lagsSince === undefined || performance.now() - this.lagsSince < LAGS_FOR_MS) return;
    this.lagsSince = Number.POSITIVE_INFINITY;
    this.events.emit('child.lagging', { child: this.name, pid: this.pid });
  }

  /**
   * Kills it when it is unresponsive: no heartbeat means a blocked event loop or a stopped process. Called regularly.
   */
  watch({ timeoutMs, bootTimeoutMs }: HeartbeatLimits): void {
    this.noteLag();
    if (this.killed || this.condemned || this.wasDraining || this.lifecycle === 'exited') return;
    if (this.lifecycle === 'booting') {
      if (performance.now() - this.forkedAt < bootTimeoutMs) return;
      this.timedOut = true;
      void this.condemn(`not ready after ${bootTimeoutMs / 1000} s`);
      return;
    }
    const { heartbeatAgeMs } = this;
    // Whoever asks for a part of this process was blocked with it, and is not any more.
    if (heartbeatAgeMs < timeoutMs || this.isInProcess || this.standsStill) return;
    this.timedOut = true;
    this.blocked = { heartbeatAgeMs, activity: this.reportUnresponsive(heartbeatAgeMs) };
    void this.condemn(`no heartbeat for ${Math.round(heartbeatAgeMs / 1000)} s`);
  }

  /** Takes what it has to say about broadcasts. */
  hearSubscriber(message: FromSubscriber, relay: RelayBroadcast): void {
    if (message.catamount === 'subscribe') this.subscribes = true;
    else relay(message.frame, this);
  }

  /** Its last heartbeat; undefined before the first. */
  abstract readonly status: ProcessMetrics | undefined;
  /** Its work in flight by its last message. */
  protected abstract get inFlight(): readonly WorkInFlight[];
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
    const thrown = this.recentStderr.findLast((line) => /^[\w.]*Error\b.*: /.test(line));
    const message = this.failure?.message ?? this.ran ?? thrown ?? (this.recentStderr.join(' / ') || null);
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
