import { UserError } from '../core/errors';
import type { Events } from '../core/events';
import { Deadline } from '../support/deadline';
import { type Deferred, deferred } from '../support/deferred';
import { type ChildProcess, forkEntry, reportOutput } from './child-process';
import { DeathNotes } from './death-notes';
import type { Work } from './figures';
import { type FromProcessor, isOurs, type ProcessorOrder, type ToProcessor } from './messages';
import { answerAsked } from './operations-by-ipc';
import type { RecentEvent } from './recent-events';
import { Respawn, type RespawnOptions } from './respawn';
import type { ScribeCandidate } from './scribe-post';
import type { Operations, ProcessorStats, ProcessorStatus } from './stats';

export const PROCESSOR_ROLE = 'processor';

/** Deaths in a row after which the circuit opens: from then on it is tried only at the back-off's longest waits. */
const CIRCUIT_DEATHS = 5;
/** How often silence is looked for, ms. */
const WATCH_MS = 500;
/** Who is heard of this often is fit for chores, ms. */
const FIT_MS = 3000;
/** A successor that dies before it could take over leaves that to the next. */
const MOST_DEAD = 10;

export interface ProcessorOptions {
  /** What the identities of its processes begin with: the tree's own. */
  readonly lineage: string;
  /** A processor that is not heard of for this long is killed, ms. */
  readonly timeoutMs: number;
  /** How long a start may take, ms, if not that long. */
  readonly bootTimeoutMs: number;
  /** How long a replaced one may take to finish its jobs, ms. */
  readonly drainTimeoutMs: number;
  /** How large its heap may grow; null for Node's own choice. */
  readonly heapMb: number | null;
  readonly respawn?: RespawnOptions;
  /** Called when the first processor refuses to start because of the app's own code, which no restart mends: the tree must not start. */
  readonly onRefused?: (error: UserError) => void;
  /** Called with false when jobs cannot be run for now, and with true when they can again. */
  readonly onRunning?: (running: boolean) => void;
}

/** Keeps exactly one job processor alive, as a child of the primary. Its death never touches the web. */
export class Processor {
  /** Told of what the processor has done. */
  onWork: (work: Work) => void = () => undefined;
  /** Told of what has happened to its jobs. */
  onEvent: (event: RecentEvent) => void = () => undefined;
  private operations: Operations | undefined;
  private child: ChildProcess | undefined;
  private exited: Deferred | undefined;
  private state: ProcessorStats['state'] = 'off';
  private status: ProcessorStatus | undefined;
  private startedAt: Date | undefined;
  private lastCheckin: Date | undefined;
  private forkedAt = 0;
  private readyAt: number | undefined;
  private heardAt = 0;
  private everReady = false;
  readonly deaths = new DeathNotes();
  private restarts = 0;
  /** CPU time of those that are gone, s. */
  private cpuOfGone = 0;
  private forks = 0;
  private stopping = false;
  /** By the last order; whatever process comes next heeds it. */
  private wanted: 'open' | 'quiet' | 'stopped' = 'open';
  private identity = '';
  /** Those that ended without giving their jobs back: the next one takes them over. */
  private dead: readonly string[] = [];
  /** Its end is wanted, and another is to follow at once. */
  private renewing = false;
  private watch: NodeJS.Timeout | undefined;
  private readonly respawn: Respawn;

  constructor(
    private readonly events: Events,
    private readonly options: ProcessorOptions,
  ) {
    this.respawn = new Respawn(options.respawn);
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  start(): void {
    if (this.child || this.stopping) return;
    this.watch ??= setInterval(() => this.killSilent(), WATCH_MS);
    this.fork();
  }

  /** @returns how many processes had to be killed (0 or 1). */
  async stop(deadline: Deadline): Promise<number> {
    this.stopping = true;
    clearInterval(this.watch);
    this.respawn.cancel();
    return this.end(deadline);
  }

  /**
   * Puts a successor in its place, open whatever was ordered before: jobs drain, or go back to their queue, before the
   * new one fetches any.
   */
  async renew(): Promise<void> {
    if (this.stopping || this.state === 'off') return;
    this.wanted = 'open';
    if (!this.child) {
      // It waits for its next try, up to half a minute: code read anew may be just what it needs.
      this.respawn.cancel();
      this.fork();
      return;
    }
    this.renewing = true;
    await this.end(Deadline.after(this.options.drainTimeoutMs));
  }

  /** It takes no more jobs, nor does any successor of it, until it is resumed or renewed. */
  quiet(): void {
    if (this.wanted === 'stopped') return;
    this.wanted = 'quiet';
    this.tell({ catamount: 'quiet' });
    if (this.state === 'ready') this.state = 'quiet';
  }

  /** Takes `quiet` and `halt` back. */
  resume(): void {
    if (this.stopping) return;
    this.wanted = 'open';
    this.tell({ catamount: 'resume' });
    if (this.state === 'quiet') this.state = 'ready';
    if (this.state === 'stopped') this.fork();
  }

  /** Drains it, and starts none again until it is resumed or renewed. */
  async halt(): Promise<void> {
    if (this.stopping || this.wanted === 'stopped') return;
    this.wanted = 'stopped';
    this.respawn.cancel();
    if (this.child) await this.end(Deadline.after(this.options.drainTimeoutMs));
    else this.rest();
  }

  /** From now on the processor may ask for these. */
  allow(operations: Operations): void {
    this.operations = operations;
  }

  /** For the tree's place in Redis. */
  get scribe(): ScribeCandidate | undefined {
    const { pid, state } = this;
    if (pid === undefined) return undefined;
    const fit = (state === 'ready' || state === 'quiet') && performance.now() - this.heardAt < FIT_MS;
    return { pid, fit, appoint: (on) => this.tell({ catamount: 'scribe', on }) };
  }

  reopenLog(): void {
    this.tell({ catamount: 'reopen-log' });
  }

  collectGarbage(): void {
    this.tell({ catamount: 'collect-garbage' });
  }

  /** CPU time of this and all before it. */
  get cpuSeconds(): number {
    return this.cpuOfGone + (this.status?.cpuSeconds ?? 0);
  }

  stats(pssMb: number | null): ProcessorStats {
    return {
      pid: this.pid ?? null,
      state: this.state,
      started_at: this.startedAt?.toISOString() ?? null,
      last_checkin: this.lastCheckin?.toISOString() ?? null,
      restarts: this.restarts,
      pss_mb: pssMb,
      last_status: this.status ?? {},
    };
  }

  private async end(deadline: Deadline): Promise<number> {
    const { child, exited } = this;
    if (!child || !exited) return 0;
    this.state = 'stopping';
    this.tell({ catamount: 'stop', remainingMs: deadline.earlier(1000).remaining() });
    if ((await deadline.wait(exited.promise)) === 'done') return 0;
    this.kill(child, 'the deadline is over');
    await exited.promise;
    return 1;
  }

  private fork(): void {
    this.identity = `${this.options.lineage}-${this.forks++}`;
    const begin = this.wanted === 'quiet' ? 'quiet' : 'open';
    const child = forkEntry(this.options.heapMb, PROCESSOR_ROLE, this.identity, begin, ...this.dead);
    const pid = child.pid ?? 0;
    this.deaths.begin(reportOutput(child, 'jobs', this.events));
    this.child = child;
    this.exited = deferred();
    this.state = 'booting';
    this.cpuOfGone = this.cpuSeconds;
    this.status = undefined;
    this.startedAt = new Date();
    this.forkedAt = this.heardAt = performance.now();
    this.readyAt = undefined;
    this.events.emit('processor.forked', { pid });
    child.on('message', (message: unknown) => {
      if (isOurs<FromProcessor>(message)) this.hear(message);
    });
    child.once('error', (error) => this.events.emit('process.error', { error, during: 'starting the job processor' }));
    child.once('exit', (code, signal) => this.onExit(pid, code, signal));
  }

  private hear(message: FromProcessor): void {
    this.heardAt = performance.now();
    if (message.catamount === 'heartbeat') {
      this.lastCheckin = new Date();
      this.status = message.status;
      this.onWork(message.work);
      return;
    }
    if (message.catamount === 'happened') {
      this.onEvent(message.event);
      return;
    }
    if (message.catamount === 'ask') {
      void answerAsked(this.operations, message).then((answer) => this.tell(answer));
      return;
    }
    if (message.catamount === 'order') {
      this.obey(message.order);
      return;
    }
    if (message.catamount === 'failed') {
      if (this.everReady || !message.final) return;
      this.options.onRefused?.(new UserError(`Catamount cannot start: ${message.message}`, message.exitCode));
      return;
    }
    this.everReady = true;
    this.deaths.ready();
    if (this.state === 'booting') this.state = this.wanted === 'quiet' ? 'quiet' : 'ready';
    this.readyAt = performance.now();
    const durationMs = Math.round(this.readyAt - this.forkedAt);
    this.events.emit('processor.ready', { pid: this.pid ?? 0, durationMs });
    this.options.onRunning?.(true);
  }

  private obey(order: ProcessorOrder): void {
    if (order === 'quiet') this.quiet();
    else if (order === 'resume') this.resume();
    else void this.halt();
  }

  /** It has ended and is not to come back. */
  private rest(): void {
    this.state = 'stopped';
    this.renewing = false;
    this.events.emit('processor.stopped', {});
    this.options.onRunning?.(false);
  }

  private onExit(pid: number, code: number | null, signal: string | null): void {
    this.child = undefined;
    this.exited?.resolve();
    // One that was signalled alone has drained and left: a successor follows all the same.
    const expected = this.stopping || this.renewing || this.wanted === 'stopped' || code === 0;
    this.events.emit('processor.exited', { pid, code, signal, expected });
    this.state = 'off';
    if (this.stopping) return;
    // Killed when its time was over, or by itself: it has not given back all that it had.
    if (code !== 0) this.dead = [...this.dead, this.identity].slice(-MOST_DEAD);
    if (this.wanted === 'stopped') {
      this.rest();
      return;
    }
    this.restarts++;
    if (this.renewing) {
      this.renewing = false;
      this.fork();
      return;
    }
    this.options.onRunning?.(false);
    if (code !== 0) this.deaths.died(code, signal);
    const servedMs = this.readyAt === undefined ? 0 : performance.now() - this.readyAt;
    const wait = this.respawn.schedule(servedMs, () => this.fork());
    this.state = wait.attempt >= CIRCUIT_DEATHS ? 'circuit open' : 'waiting';
    if (wait.attempt === CIRCUIT_DEATHS) this.events.emit('processor.circuit', { deaths: wait.attempt });
    this.deaths.triesAgain(wait);
    this.events.emit('processor.respawn', wait);
  }

  /** A handler that blocks the event loop for longer than the timeout: its jobs are rescued by the next processor. */
  private killSilent(): void {
    const silentMs = Math.round(performance.now() - this.heardAt);
    const { timeoutMs, bootTimeoutMs } = this.options;
    // It loads its code before it says a word.
    const limitMs = this.readyAt === undefined ? Math.max(timeoutMs, bootTimeoutMs) : timeoutMs;
    if (!this.child || silentMs < limitMs || this.state === 'stopping') return;
    const inFlight = this.status?.in_flight ?? [];
    this.deaths.silent(silentMs, inFlight[0]?.what);
    this.events.emit('processor.silent', { pid: this.pid ?? 0, silentMs, inFlight });
    this.kill(this.child, `not heard of for ${Math.round(silentMs / 1000)} s`);
  }

  private kill(child: ChildProcess, reason: string): void {
    this.events.emit('child.killed', { child: 'job processor', pid: child.pid ?? 0, reason });
    child.kill('SIGKILL');
  }

  private tell(message: ToProcessor): void {
    if (this.child?.connected) this.child.send(message);
  }
}
