import type { Events } from '../../core/events';
import { type Child, forkEntry } from '../child-process';
import { PROCESSOR_ROLE } from '../child-roles';
import type { FromProcessor, ToProcessor } from '../messages';
import type { Activity, ProcessorStats, ProcessorStatus, WorkInFlight } from '../status';
import { ChildHandle } from './child-handle';

export interface ProcessorStart {
  /** Unique for each processor. */
  readonly identity: string;
  readonly heapMb: number | null;
  /** True to begin without fetching. */
  readonly quiet: boolean;
  /** Identities of the processors whose jobs it rescues. */
  readonly dead: readonly string[];
}

/** The primary's view of a job processor. */
export class ProcessorHandle extends ChildHandle<FromProcessor, ToProcessor> {
  readonly identity: string;
  status: ProcessorStatus | undefined;
  private isQuiet: boolean;

  constructor(
    { identity, heapMb, quiet, dead }: ProcessorStart,
    /** Called with each message, after the handle itself has taken note of it. */
    private readonly hear: (handle: ProcessorHandle, message: FromProcessor) => void,
    events: Events,
    /** Default: a process that is forked. */
    child: Child = forkEntry(heapMb, PROCESSOR_ROLE, identity, quiet ? 'quiet' : 'open', ...dead),
  ) {
    super(child, 'job processor', 'jobs', events);
    this.identity = identity;
    this.isQuiet = quiet;
    events.emit('processor.forked', { pid: this.pid });
  }

  get state(): 'booting' | 'ready' | 'quiet' | 'stopping' {
    if (this.lifecycle === 'booting') return 'booting';
    if (this.lifecycle !== 'ready') return 'stopping';
    return this.isQuiet ? 'quiet' : 'ready';
  }

  /** Stops fetching; running jobs continue. */
  quiet(): void {
    this.isQuiet = true;
    this.send({ catamount: 'quiet' });
  }

  resume(): void {
    this.isQuiet = false;
    this.send({ catamount: 'resume' });
  }

  /** Rescues the jobs of a processor that ended without returning them. */
  rescueOrphans(identity: string): void {
    this.send({ catamount: 'rescue', identity });
  }

  stats(restarts: number, pssMb: number | null): ProcessorStats {
    return {
      identity: this.identity,
      pid: this.pid,
      state: this.state,
      startedAt: this.startedAt.toISOString(),
      lastCheckin: this.lastCheckin?.toISOString() ?? null,
      heartbeatAgeMs: this.heartbeatAgeMs,
      restarts,
      pssMb: pssMb,
      lastStatus: this.status ?? {},
    };
  }

  setReporter(on: boolean): void {
    this.send({ catamount: 'reporter', on });
  }

  protected receive(message: FromProcessor): void {
    if (message.catamount === 'boot-failed') this.failure = message;
    if (message.catamount === 'heartbeat') {
      this.lastCheckin = new Date();
      this.status = message.status;
    }
    if (message.catamount === 'ready') {
      this.becomeReady();
      this.ready.resolve();
    }
    this.hear(this, message);
  }

  protected get inFlight(): readonly WorkInFlight[] {
    return this.status?.inFlight ?? [];
  }

  protected reportUnresponsive(heartbeatAgeMs: number): Activity | null {
    const { inFlight } = this;
    this.events.emit('processor.unresponsive', { pid: this.pid, heartbeatAgeMs, inFlight });
    return inFlight[0] ?? null;
  }
}
