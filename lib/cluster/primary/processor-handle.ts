import type { Events } from '../../core/events';
import { type StopOutcome, stopPhase } from '../../core/shutdown';
import { type Deadline, deferred } from '../../support/async';
import { type ChildProcess, forkEntry, PROCESSOR_ROLE, reportOutput } from '../child-process';
import { type BootFailure, type FromProcessor, isOurs, type ToProcessor } from '../messages';
import type { ProcessorStats, ProcessorStatus, Termination } from '../status';
import { DeathNotes, endingOf, HEALTHY_MS } from './child-handle';
import type { ReporterCandidate } from './reporter-election';

export interface ProcessorStart {
  /** Unlike any other processor's, ever. */
  readonly identity: string;
  readonly heapMb: number | null;
  /** It begins without fetching. */
  readonly quiet: boolean;
  /** Those whose jobs it takes over. */
  readonly dead: readonly string[];
}

/** Whoever has started it. */
export interface ProcessorKeeper {
  hear(handle: ProcessorHandle, message: FromProcessor): void;
  onExit(handle: ProcessorHandle, code: number | null, signal: string | null): void;
}

/** One process that runs jobs, as the primary knows it. */
export class ProcessorHandle {
  readonly identity: string;
  readonly startedAt = new Date();
  /** Resolves when it is ready, or never. */
  readonly ready = deferred();
  readonly exited = deferred();
  state: 'booting' | 'ready' | 'quiet' | 'stopping' = 'booting';
  status: ProcessorStatus | undefined;
  /** Why it could not start, in its own words. */
  failure: BootFailure | undefined;
  /** How it ended; null as long as it lives. */
  death: Termination | null = null;
  /** It was past asking, or its time was over. */
  killed = false;
  private readonly child: ChildProcess;
  private readonly forkedAt = performance.now();
  private readonly notes: DeathNotes;
  private heardAt = this.forkedAt;
  private readyAt: number | undefined;
  private lastCheckin: Date | undefined;
  private isQuiet: boolean;

  constructor(
    { identity, heapMb, quiet, dead }: ProcessorStart,
    keeper: ProcessorKeeper,
    private readonly events: Events,
  ) {
    this.identity = identity;
    this.isQuiet = quiet;
    this.child = forkEntry(heapMb, PROCESSOR_ROLE, identity, quiet ? 'quiet' : 'open', ...dead);
    this.notes = new DeathNotes(reportOutput(this.child, 'jobs', events));
    events.emit('processor.forked', { pid: this.pid });
    this.child.on('message', (message: unknown) => {
      if (!isOurs<FromProcessor>(message)) return;
      this.note(message);
      keeper.hear(this, message);
    });
    const onExit = (code: number | null, signal: string | null) => {
      this.death = this.notes.death(code, signal);
      keeper.onExit(this, code, signal);
      this.exited.resolve();
    };
    this.child.once('error', (error) => {
      events.emit('process.error', { error, during: 'starting the job processor' });
      // There never was a process, for want of memory or of pids.
      if (this.child.pid === undefined) onExit(null, null);
    });
    this.child.once('exit', onExit);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

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

  /** For the tree's place in Redis. */
  get reporterCandidate(): ReporterCandidate {
    const fit = (this.state === 'ready' || this.state === 'quiet') && this.heartbeatAgeMs < HEALTHY_MS;
    return { pid: this.pid, fit, appoint: (on) => this.tell({ catamount: 'reporter', on }) };
  }

  /** Fetches no more; what runs goes on. */
  quiet(): void {
    this.isQuiet = true;
    this.tell({ catamount: 'quiet' });
    if (this.state === 'ready') this.state = 'quiet';
  }

  /** Fetches. */
  resume(): void {
    this.isQuiet = false;
    this.tell({ catamount: 'resume' });
    if (this.state === 'quiet') this.state = 'ready';
  }

  /** Has it finish what it has and leave; kills it when its time is over. */
  async end(deadline: Deadline): Promise<StopOutcome> {
    this.state = 'stopping';
    this.tell({ catamount: 'stop', remainingMs: stopPhase(deadline, 'drain').remaining() });
    if ((await deadline.wait(this.exited.promise)) === 'done') return { killed: 0, failed: 0 };
    this.kill('the deadline is over');
    await this.exited.promise;
    return { killed: 1, failed: 0 };
  }

  /** It blocks its event loop, or has stopped: it is past asking. */
  killUnresponsive(): void {
    const inFlight = this.status?.inFlight ?? [];
    const { heartbeatAgeMs, pid } = this;
    this.notes.silent(heartbeatAgeMs, inFlight[0]?.what);
    this.events.emit('processor.unresponsive', { pid, heartbeatAgeMs, inFlight });
    this.kill(`not heard of for ${Math.round(heartbeatAgeMs / 1000)} s`);
  }

  /** That one has ended without giving its jobs back. */
  rescueOrphans(identity: string): void {
    this.tell({ catamount: 'rescue', identity });
  }

  tell(message: ToProcessor): void {
    if (this.child.connected) this.child.send(message);
  }

  /** Why it never became ready, for a person. */
  get bootFailure(): string {
    if (this.killed) return 'it was not ready in time';
    return this.failure?.message ?? (this.death ? (this.death.words ?? endingOf(this.death)) : '');
  }

  stats(restarts: number, pssMb: number | null): ProcessorStats {
    return {
      pid: this.pid,
      state: this.state,
      startedAt: this.startedAt.toISOString(),
      lastCheckin: this.lastCheckin?.toISOString() ?? null,
      restarts,
      pssMb: pssMb,
      lastStatus: this.status ?? {},
    };
  }

  private note(message: FromProcessor): void {
    this.heardAt = performance.now();
    if (message.catamount === 'failed') this.failure = message;
    if (message.catamount === 'heartbeat') {
      this.lastCheckin = new Date();
      this.status = message.status;
    }
    if (message.catamount === 'ready') {
      this.readyAt = performance.now();
      this.notes.ready();
      if (this.state === 'booting') this.state = this.isQuiet ? 'quiet' : 'ready';
      this.ready.resolve();
    }
  }

  private kill(reason: string): void {
    this.killed = true;
    this.events.emit('child.killed', { child: 'job processor', pid: this.pid, reason });
    this.child.kill('SIGKILL');
  }
}
