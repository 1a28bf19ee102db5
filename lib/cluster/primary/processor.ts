import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { RecentEvent } from '../../core/notable-events';
import { Deadline } from '../../support/deadline';
import type { PeriodicTask } from '../../support/periodic-task';
import type { Child } from '../child-process';
import type { FromProcessor } from '../messages';
import { CRASH_LOOP_DEATHS, type ProcessorStats, type Tree, type Work } from '../status';
import type { RelayBroadcast } from './child-handle';
import { type ChildExit, type StopOutcome, sumOutcomes } from './child-handle';
import { killUnresponsive } from './kill-unresponsive';
import { MAX_TRIES } from './phased-restart';
import { ProcessorHandle, type ProcessorStart } from './processor-handle';
import { type RestartOptions, RestartPolicy } from './restart-policy';
import { answerRequest } from './tree-operations';
import type { ReplaceOrder } from './worker-pool';

/**
 * Maximum number of dead processors passed to a successor: one that dies before it rescues their jobs leaves them to
 * the next.
 */
const MAX_DEAD = 10;

export interface ProcessorOptions {
  /** The tree's id, with which the identities of its processors begin. */
  readonly lineage: string;
  /** A processor that has sent no heartbeat for this long is killed, ms. */
  readonly timeoutMs: number;
  /** Time limit for a boot, ms; at least `timeoutMs`. */
  readonly bootTimeoutMs: number;
  /** Time for a replaced processor to finish its jobs, ms. */
  readonly drainTimeoutMs: number;
  readonly heapMb: number | null;
  readonly restarts?: RestartOptions;
  /** Makes the processor of a part of this process; undefined: it is forked. */
  readonly inProcess?: ((start: ProcessorStart) => Child) | undefined;
  /**
   * Called when the first processor cannot start because of the app's own code: no restart helps, so the tree must not
   * start.
   */
  readonly onRefused?: (error: UserError) => void;
  /** Called with false while no jobs can be run, and with true when they can again. */
  readonly onRunning?: (running: boolean) => void;
}

/**
 * Keeps one job processor at work, as a child of the primary; its death never affects the web. During a replacement
 * there are two, of which one fetches: the old one until its successor is ready, then the successor.
 */
export class ProcessorSupervisor {
  onWork: (work: Work) => void = () => undefined;
  /** Called with the events that a processor reports about its jobs. */
  onEvent: (event: RecentEvent) => void = () => undefined;
  relay: RelayBroadcast = () => undefined;
  readonly policy: RestartPolicy;
  private tree: Tree | undefined;
  /** The processor that fetches. */
  private current: ProcessorHandle | undefined;
  /** During its replacement: a successor that boots, or a predecessor that finishes its jobs. */
  private other: ProcessorHandle | undefined;
  /** The state reported while there is no `current`. */
  private absence: 'disabled' | 'backing_off' | 'crash_loop' = 'disabled';
  private everReady = false;
  private restarts = 0;
  /** Number of runs that have ended. */
  finished = 0;
  /** CPU time of processors that are gone, s. */
  private cpuOfGone = 0;
  private forks = 0;
  private stopping = false;
  /** Set by the last command; it holds for every successor. */
  private desiredState: 'open' | 'quiet' = 'open';
  /** True during a replacement whose successor will fetch when it is ready; a command that comes first clears it. */
  private opensSuccessor = false;
  /** Processors that ended without returning their jobs: the next one rescues these. */
  private dead: readonly string[] = [];
  /** True while the current one stops for a `stop-first` replacement, after which its successor is forked at once. */
  private followsAtOnce = false;
  private renewal: Promise<void> = Promise.resolve();
  private readonly watch: PeriodicTask;

  constructor(
    private readonly events: Events,
    private readonly options: ProcessorOptions,
  ) {
    this.policy = new RestartPolicy(options.restarts);
    const { timeoutMs } = options;
    const limits = { timeoutMs, bootTimeoutMs: Math.max(timeoutMs, options.bootTimeoutMs) };
    this.watch = killUnresponsive(() => this.handles, limits, events);
  }

  get pids(): number[] {
    return this.handles.map(({ pid }) => pid);
  }

  start(): void {
    if (this.current || this.stopping) return;
    this.watch.start();
    this.fork();
  }

  async stop(deadline: Deadline): Promise<StopOutcome> {
    this.stopping = true;
    void this.watch.stop();
    this.policy.cancel();
    return sumOutcomes(await Promise.all(this.handles.map((handle) => handle.stop(deadline))));
  }

  /**
   * Replaces the processor. The successor fetches, whatever was commanded before.
   * - `start-first`: the successor is ready before the old one stops fetching and finishes its jobs beside it.
   * - `stop-first`: jobs finish, or return to their queue, before the successor is started.
   *
   * Replacements run one after the other, since the later one may mean newer code.
   * @param orderFor chooses the order by the memory that is left.
   * @throws UserError when the successor cannot boot. Then the old one stays, unless it was stopped first.
   */
  restart(orderFor: (pid: number) => ReplaceOrder): Promise<void> {
    this.renewal = this.renewal.catch(() => undefined).then(() => this.renewNow(orderFor));
    return this.renewal;
  }

  /** Stops fetching, also in successors, until it is resumed or restarted. */
  quiet(): void {
    this.desiredState = 'quiet';
    this.opensSuccessor = false;
    this.current?.quiet();
  }

  /** Undoes `quiet`. */
  resume(): void {
    if (this.stopping) return;
    this.desiredState = 'open';
    this.current?.resume();
  }

  /** From now on the processor may ask this. */
  allow(tree: Tree): void {
    this.tree = tree;
  }

  /** CPU time of all processors, including those that are gone, s. */
  get cpuSeconds(): number {
    return this.handles.reduce((sum, { status }) => sum + (status?.cpuSeconds ?? 0), this.cpuOfGone);
  }

  stats(pssMb: (pid: number) => number | null): ProcessorStats {
    const { current, absence, restarts } = this;
    if (current) return current.stats(restarts, pssMb(current.pid));
    const nobody = {
      identity: null,
      pid: null,
      startedAt: null,
      lastCheckin: null,
      heartbeatAgeMs: null,
      pssMb: null,
      lastStatus: {},
    };
    return { ...nobody, state: absence, restarts };
  }

  /** Age of the processor's last message on the monotonic clock, ms; 0 while there is no processor. */
  get heartbeatAgeMs(): number {
    return this.current?.heartbeatAgeMs ?? 0;
  }

  /** Statistics of the other processor during a replacement. */
  otherStats(pssMb: (pid: number) => number | null): ProcessorStats | undefined {
    return this.other?.stats(this.restarts, pssMb(this.other.pid));
  }

  get handles(): ProcessorHandle[] {
    return [this.current, this.other].filter((handle) => handle !== undefined);
  }

  private async renewNow(orderFor: (pid: number) => ReplaceOrder): Promise<void> {
    const old = this.current;
    if (this.stopping || (!old && this.absence === 'disabled')) return;
    if (!old) {
      // The next restart may be half a minute away, and the new code may be the remedy.
      this.desiredState = 'open';
      this.policy.cancel();
      this.fork();
    } else {
      const serves = old.state === 'ready' || old.state === 'quiet';
      if (serves && orderFor(old.pid) === 'start-first') return this.startFirst(old);
      this.desiredState = 'open';
      this.followsAtOnce = true;
      await old.stop(Deadline.after(this.options.drainTimeoutMs));
    }
    await this.successorBoots();
  }

  /** @throws UserError when it cannot. */
  private async successorBoots(): Promise<void> {
    const successor = this.current;
    await Promise.race([successor?.ready.promise, successor?.exited.promise]);
    if (successor === undefined || successor.wasReady || this.stopping) return;
    throw new UserError(
      `the job processor cannot boot: ${successor.exitMessage}. None is left: no job runs until one boots`,
    );
  }

  private async startFirst(old: ProcessorHandle): Promise<void> {
    this.opensSuccessor = true;
    for (let tries = 1; ; tries++) {
      const successor = this.make(true);
      this.other = successor;
      await Promise.race([successor.ready.promise, successor.exited.promise]);
      if (successor.wasReady) break;
      if (this.stopping) return;
      const reason = successor.exitMessage;
      const permanent = successor.isPermanentFailure;
      // If the old one has died meanwhile, a restart is already scheduled.
      if (tries < MAX_TRIES && !permanent && this.current === old) continue;
      this.opensSuccessor = false;
      if (this.current === old) this.events.emit('processor.kept', { pid: old.pid, reason });
      throw new UserError(`the job processor cannot boot: ${reason}`);
    }
    await old.exited.promise;
  }

  private make(quiet: boolean): ProcessorHandle {
    const identity = `${this.options.lineage}-${this.forks++}`;
    const start = { identity, heapMb: this.options.heapMb, quiet, dead: this.dead };
    const child = this.options.inProcess?.(start);
    const handle = new ProcessorHandle(start, (from, message) => this.hear(from, message), this.events, child);
    void handle.exited.promise.then((exit) => this.onExit(handle, exit));
    return handle;
  }

  private fork(): void {
    this.current = this.make(this.desiredState === 'quiet');
  }

  private hear(handle: ProcessorHandle, message: FromProcessor): void {
    switch (message.catamount) {
      case 'heartbeat':
        this.finished += message.work.processed + message.work.failed;
        this.onWork(message.work);
        break;
      case 'event':
        this.onEvent(message.event);
        break;
      case 'subscribe':
      case 'broadcast':
        handle.hearSubscriber(message, this.relay);
        break;
      case 'request':
        void answerRequest(this.tree, message).then((answer) => handle.send(answer));
        break;
      case 'boot-failed':
        if (!this.everReady && handle.refusal) this.options.onRefused?.(handle.refusal);
        break;
      case 'ready':
        this.onReady(handle);
    }
  }

  private onReady(handle: ProcessorHandle): void {
    this.everReady = true;
    this.policy.served();
    this.events.emit('processor.ready', { pid: handle.pid, durationMs: handle.bootMs });
    if (handle === this.other && handle.state === 'quiet') this.switchTo(handle);
    if (handle.state === 'quiet' && this.desiredState === 'open') handle.resume();
    this.options.onRunning?.(true);
  }

  /** Makes the successor the current one. The old one stops fetching first, so that two never fetch at the same time. */
  private switchTo(successor: ProcessorHandle): void {
    const old = this.current;
    this.other = old;
    this.current = successor;
    this.restarts++;
    if (this.opensSuccessor) this.desiredState = 'open';
    this.opensSuccessor = false;
    void old?.stop(Deadline.after(this.options.drainTimeoutMs));
  }

  private onExit(handle: ProcessorHandle, { code, signal }: ChildExit): void {
    const asked = handle.wasDraining && handle.killed;
    // A processor that was signalled alone has drained and exited with 0: a successor still follows.
    const expected = this.stopping || asked || code === 0;
    this.events.emit('processor.exited', { pid: handle.pid, code, signal, expected });
    this.cpuOfGone += handle.status?.cpuSeconds ?? 0;
    const wasAtWork = handle === this.current;
    if (wasAtWork) this.current = undefined;
    else this.other = undefined;
    if (this.stopping) return;
    // The processor may not have returned all its jobs: it was killed, it crashed, or Postgres was away.
    this.haveJobsRescued(handle);
    if (!wasAtWork) return;
    if (code !== 0 && !asked) this.policy.last = handle.termination;
    this.restarts++;
    if (this.followsAtOnce) this.fork();
    else if (this.other?.state === 'booting') this.advance(this.other);
    else this.tryAgain(handle.servedMs);
    this.followsAtOnce = false;
    this.options.onRunning?.(false);
  }

  /** Makes a booting successor current: the processor that it was to replace has died. */
  private advance(successor: ProcessorHandle): void {
    this.current = successor;
    this.other = undefined;
    if (this.opensSuccessor) this.desiredState = 'open';
    this.opensSuccessor = false;
  }

  /** Has its jobs rescued by the running processors now, and by the next one when it starts. */
  private haveJobsRescued({ identity }: ProcessorHandle): void {
    this.dead = [...this.dead, identity].slice(-MAX_DEAD);
    for (const handle of this.handles) if (handle.state !== 'stopping') handle.rescueOrphans(identity);
  }

  private tryAgain(servedMs: number): void {
    const wait = this.policy.schedule(servedMs, () => this.fork());
    this.absence = wait.attempt >= CRASH_LOOP_DEATHS ? 'crash_loop' : 'backing_off';
    if (wait.attempt === CRASH_LOOP_DEATHS) this.events.emit('processor.crash-loop', { crashes: wait.attempt });
    this.events.emit('processor.restart-scheduled', wait);
  }
}
