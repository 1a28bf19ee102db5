import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { type StopOutcome, stopPhase } from '../../core/shutdown';
import { Backoff, type Deadline, deferred } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { type ChildProcess, reportOutput } from '../child-process';
import { type BootFailure, isOurs } from '../messages';
import { endingOf, type NextTry, type RestartReason, type Termination } from '../status';
import type { ReporterCandidate } from './reporter-election';

/** A child that was heard of within this time is not blocked, ms. */
const HEALTHY_MS = 3000;
/** How often children that do not answer are looked for, ms. */
const WATCH_INTERVAL_MS = 500;
/** Deaths in a row, each soon after a start, that are a crash loop. */
export const CRASH_LOOP_DEATHS = 5;

export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** How long a child may be silent before it is killed, ms. */
export interface HeartbeatLimits {
  readonly timeoutMs: number;
  /** From its fork until it is ready: it loads its code before it says a word. */
  readonly bootTimeoutMs: number;
}

interface Message {
  readonly catamount: string;
}

/**
 * A forked child as the primary knows it: booting → ready → draining → exited; it may exit from any state. It is judged
 * by its `exit`, never by `disconnect`, which a killed one may not emit.
 */
export abstract class ChildHandle<In extends Message = Message, Out extends Message = Message> {
  readonly startedAt = new Date();
  /** Resolves when it is ready, or never. */
  readonly ready = deferred();
  readonly exited = deferred<ChildExit>();
  /** Why it could not start, in its own words. */
  failure: BootFailure | undefined;
  /** How it ended; null as long as it lives. */
  death: Termination | null = null;
  /** It was past asking, or its time was over. */
  killed = false;
  /** Whether it was asked to go. */
  wasDraining = false;
  /** When it is cut off, once it drains. */
  drainUntil: Date | undefined;
  lastCheckin: Date | undefined;
  protected lifecycle: 'booting' | 'ready' | 'draining' | 'exited' = 'booting';
  private readonly forkedAt = performance.now();
  private heardAt = this.forkedAt;
  private readyAt: number | undefined;
  /** It was killed since it was not ready, or did not answer, in time. */
  private timedOut = false;
  private blocked: Pick<Termination, 'heartbeatAgeMs' | 'doing'> = { heartbeatAgeMs: null, doing: null };
  private readonly recentStderr: () => readonly string[];

  /** @param name as the log has it: `worker 0`. @param output what its stray lines begin with: `web.0`. */
  constructor(
    protected readonly child: ChildProcess,
    readonly name: string,
    output: string,
    protected readonly events: Events,
  ) {
    this.recentStderr = reportOutput(child, output, events);
    child.on('message', (message: unknown, connection: unknown) => {
      if (!isOurs<In>(message)) return;
      this.heardAt = performance.now();
      this.receive(message, connection);
    });
    child.on('error', (error) => {
      // Else it is a message that could not be delivered: the exit that follows says the rest.
      if (child.pid !== undefined) return;
      // There never was a process, for want of memory or of pids.
      events.emit('process.error', { error, during: `starting the ${name}` });
      this.exit(null, null);
    });
    child.once('exit', (code, signal) => this.exit(code, signal));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Whether it ever served. */
  get wasReady(): boolean {
    return this.readyAt !== undefined;
  }

  /** Since it was ready; 0 if it never was. */
  get servedMs(): number {
    return this.readyAt === undefined ? 0 : performance.now() - this.readyAt;
  }

  get bootMs(): number {
    return Math.round((this.readyAt ?? performance.now()) - this.forkedAt);
  }

  /** Milliseconds since it was last heard of. */
  get heartbeatAgeMs(): number {
    return Math.round(performance.now() - this.heardAt);
  }

  /** It serves, and is heard of. */
  get isHealthy(): boolean {
    return this.lifecycle === 'ready' && this.heartbeatAgeMs < HEALTHY_MS;
  }

  /** It never became ready, and another try cannot help. */
  get isPermanentFailure(): boolean {
    return this.timedOut || this.failure?.final === true;
  }

  /**
   * Why the tree must not start, if nothing of this kind has ever been ready: by the child's own word no try can help.
   */
  get refusal(): UserError | undefined {
    if (!this.failure?.final) return undefined;
    return new UserError(`Catamount cannot start: ${this.failure.message}`, this.failure.exitCode);
  }

  /** For the tree's place in Redis. */
  get reporterCandidate(): ReporterCandidate {
    return { pid: this.pid, fit: this.isHealthy, appoint: (on) => this.setReporter(on) };
  }

  get deathReason(): RestartReason {
    if (this.timedOut) return 'timeout';
    return this.wasReady ? 'crash' : 'boot';
  }

  /** Why it ended, for a person. */
  get exitMessage(): string {
    if (!this.death) return '';
    if (this.timedOut && !this.wasReady) return 'it was not ready in time';
    return this.death.words ?? endingOf(this.death);
  }

  send(message: Out): void {
    if (this.child.connected) this.child.send(message);
  }

  /** Has it finish what it has in hand and leave; kills it when its time is over. Several may wait for the same end. */
  async stop(deadline: Deadline, killAt: Deadline = deadline): Promise<StopOutcome> {
    if (!this.wasDraining && this.lifecycle !== 'exited') {
      this.lifecycle = 'draining';
      this.wasDraining = true;
      const remainingMs = stopPhase(deadline, 'drain').remaining();
      this.drainUntil = new Date(Date.now() + remainingMs);
      this.askToStop(remainingMs);
    }
    const late = (await killAt.wait(this.exited.promise)) === 'late';
    if (late) this.kill('the deadline is over');
    const { code } = await this.exited.promise;
    // One that was never ready had nothing in hand.
    return late ? { killed: 1, failed: 0 } : { killed: 0, failed: code !== 0 && this.wasReady ? 1 : 0 };
  }

  /** It cannot be asked any more. */
  kill(reason: string): void {
    this.killed = true;
    this.events.emit('child.killed', { child: this.name, pid: this.pid, reason });
    this.child.kill('SIGKILL');
  }

  /** To be called now and then: no heartbeat means a blocked event loop, or a stopped process, which is past asking. */
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
    this.blocked = { heartbeatAgeMs, doing: this.reportUnresponsive(heartbeatAgeMs) };
    this.kill(`not heard of for ${Math.round(heartbeatAgeMs / 1000)} s`);
  }

  abstract setReporter(on: boolean): void;
  protected abstract receive(message: In, connection: unknown): void;
  protected abstract askToStop(remainingMs: number): void;
  /** Emits the event for it. @returns what it was doing, by the last that was heard. */
  protected abstract reportUnresponsive(heartbeatAgeMs: number): string | null;
  /** It has exited. */
  protected abstract left(exit: ChildExit): void;

  protected becomeReady(): void {
    if (this.lifecycle === 'booting') this.lifecycle = 'ready';
    this.readyAt ??= performance.now();
  }

  private exit(code: number | null, signal: string | null): void {
    this.lifecycle = 'exited';
    const words = this.failure?.message ?? (this.recentStderr().join(' / ') || null);
    this.death = { at: new Date().toISOString(), reason: this.deathReason, words, code, signal, ...this.blocked };
    this.left({ code, signal });
    this.exited.resolve({ code, signal });
  }
}

/** Kills children that do not become ready, or do not answer, in time. Whoever has forked them replaces them. */
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
   * A child that served this long, ms, counts as healthy: its next death starts the back-off anew. Were the waits to
   * grow with every request or job that kills one now and then, nobody would serve the others. Default 5000.
   */
  readonly stableMs?: number;
}

/** When a child that has died is started again: after waits that grow exponentially, reset by one that served. */
export class RestartPolicy {
  /** How the last one that died did so. */
  last: Termination | null = null;
  /** When the next one is started, while none runs. */
  next: NextTry | null = null;
  private readonly backoff: Backoff;
  private readonly stableMs: number;
  /** Deaths before ready, in a row. */
  private bootDeaths = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: RestartOptions = {}) {
    this.backoff = new Backoff({ base: options.base ?? 100, max: options.max ?? 30_000 });
    this.stableMs = options.stableMs ?? 5000;
  }

  /** One is ready. */
  served(): void {
    this.bootDeaths = 0;
    this.next = null;
  }

  /** Starts `again` after the next wait. @returns that wait and which try it leads to. */
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
   * Counts the death of one that was never ready.
   * @param mostDeaths after so many in a row another try is useless, where none of its kind has ever been ready.
   * @returns why the tree must not start, once it is so.
   */
  bootDied(dead: ChildHandle, mostDeaths: number): UserError | undefined {
    if (!dead.wasReady) this.bootDeaths++;
    const { refusal, name, exitMessage } = dead;
    if (refusal || this.bootDeaths < mostDeaths) return refusal;
    return new UserError(`Catamount cannot start: ${name} died ${this.bootDeaths} times at boot: ${exitMessage}`);
  }
}
