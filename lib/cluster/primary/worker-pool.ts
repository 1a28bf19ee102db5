import cluster from 'node:cluster';
import type { Config, InheritedSocket } from '../../core/config';
import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { FORCED_EXIT_MS, STOP_PHASES } from '../../core/shutdown';
import type { Credentials } from '../../core/tls';
import type { Connection } from '../../internals/socket-handoff';
import { Deadline } from '../../support/deadline';
import { deferred } from '../../support/deferred';
import type { PeriodicTask } from '../../support/periodic-task';
import { CHILD_STDIO, childFlags, isInspected } from '../child-process';
import type { RequestMessage, ToWorker } from '../messages';
import type { JobsHealth, RestartReason, Tree, WorkerStatus } from '../status';
import { type ChildExit, type RelayBroadcast, type StopOutcome, sumOutcomes } from './child-handle';
import { killUnresponsive } from './kill-unresponsive';
import { LifetimeCounters } from './lifetime-counters';
import { Listener, type ListeningSocket } from './listener';
import type { RestartOptions } from './restart-policy';
import { Slot } from './slot';
import { forkWorkers } from './throng';
import { answerRequest } from './tree-operations';
import { type PoolCallbacks, WorkerHandle, type WorkerProcess } from './worker-handle';

/** After this many boot deaths in a row, with no worker ever ready, the start fails. */
const MAX_BOOT_DEATHS = 3;
/** A signal to one worker may be about to reach the primary too: this pause, ms, avoids a fork just before a stop. */
const LEAVE_PAUSE_MS = 250;
/** All else loads after the first worker, which somebody waits for. It waits no longer than this, ms. */
const FIRST_LOADS_MS = 2000;
/** Maximum number of workers, as for WEB_CONCURRENCY. */
const MAX_WORKERS = 64;
/** Maximum number of requests that a worker serves at once, as for MAX_THREADS. */
const MAX_THREADS = 1000;

/**
 * `start-first`: the successor is ready before the old worker drains. `stop-first`: the old worker drains first, which
 * needs less memory, but leaves one worker fewer meanwhile.
 */
export type ReplaceOrder = 'start-first' | 'stop-first';
/** Outcome of a replacement. `reason` continues a sentence that begins with the worker: `cannot boot: …`. */
export type Replacement =
  | { readonly replaced: true }
  /** `permanent`: another try cannot help. */
  | { readonly replaced: false; readonly reason: string; readonly permanent: boolean };

/**
 * The web workers by slot: forked through throng, restarted with backoff, replaced one by one, drained on
 * stop.
 */
export class WorkerPool implements PoolCallbacks {
  /** By their indexes, with gaps where workers were removed. */
  readonly slots: Slot[];
  /** The generation of the workers that are forked from now on. */
  phase = 0;
  readonly counters = new LifetimeCounters();
  onStatus: (status: WorkerStatus) => void = () => undefined;
  relay: RelayBroadcast = () => undefined;
  credentials: Credentials | undefined;
  /** Number of requests that each worker serves at once. */
  maxThreads: number;
  /** Resolves when the first worker is ready, or when nothing is to wait for it any longer. */
  readonly firstLoaded = deferred();
  private readonly booted = deferred();
  private readonly listener: Listener;
  private readonly expecting: Slot[] = [];
  private readonly everReady = new Set<Slot>();
  private readonly watch: PeriodicTask;
  private jobsHealth: JobsHealth = { running: true, stalled: null, dueSinceS: null };
  /** false: connections wait until the start is permitted. */
  private permitted = true;
  private stopping = false;
  /** True once a worker has answered `/ready` with 200: those forked later need not be ready for the first time again. */
  served = false;
  private tree: Tree | undefined;

  constructor(
    count: number,
    private readonly config: Pick<Config, 'listen' | 'web' | 'shutdownTimeoutMs' | 'heapCaps'>,
    private readonly events: Events,
    private readonly restarts: RestartOptions = {},
    inherited: readonly InheritedSocket[] = [],
    /** Makes a worker of a part of this process, the only one; undefined: workers are forked. */
    private readonly inProcess?: () => WorkerProcess,
  ) {
    this.slots = Array.from({ length: count }, (_, index) => new Slot(index, restarts));
    this.maxThreads = config.web.maxThreads;
    const addresses = inherited.length > 0 ? inherited : config.listen;
    this.listener = new Listener(addresses, () => (this.permitted ? this.handles : []), events, config.listen);
    const { workerTimeoutMs: timeoutMs, bootTimeoutMs } = config.web;
    this.watch = killUnresponsive(() => this.handles, { timeoutMs, bootTimeoutMs }, events);
  }

  /**
   * Listens, forks all workers, and waits until every slot has been ready once. The first that is ready serves.
   * @param onListening gets the address in use before anything is forked.
   * @param permission workers boot, but serve nothing until it resolves.
   * @param later the address, if another primary still serves there: it listens only by `listen`.
   * @returns the address.
   * @throws what `permission` rejects with; UserError when the address is unavailable, or when the web cannot boot, with the
   * worker's last output.
   */
  async start(onListening?: (address: string) => void, permission?: Promise<void>, later?: string): Promise<string> {
    this.permitted = permission === undefined;
    const address = later ?? (await this.listen());
    onListening?.(address);
    if (this.inProcess) for (const slot of this.slots) void this.fork(slot);
    else this.forkFirst();
    setTimeout(this.firstLoaded.resolve, FIRST_LOADS_MS).unref();
    this.watch.start();
    await Promise.all([this.permit(permission), this.booted.promise]);
    return address;
  }

  private forkFirst(): void {
    const execArgv = childFlags(this.config.heapCaps?.workerMb ?? null);
    // Without a port of ours cluster would count one up, which may be taken.
    const inspectPort = isInspected() ? {} : { inspectPort: 0 };
    cluster.setupPrimary({ execArgv, stdio: [...CHILD_STDIO], ...inspectPort });
    cluster.on('fork', (worker) => this.attach(worker));
    this.expecting.push(...this.slots);
    void forkWorkers({ count: this.slots.length, graceMs: this.config.shutdownTimeoutMs + FORCED_EXIT_MS });
  }

  /** @returns the address. @throws UserError when it is unavailable. */
  listen(): Promise<string> {
    return this.listener.listen();
  }

  get sockets(): ListeningSocket[] {
    return this.listener.sockets;
  }

  /** Ends as `stop` does, but another primary serves: it gets all connections that are idle or wait. */
  async handOver(successor: (connection: Connection) => void, deadline: Deadline): Promise<StopOutcome> {
    this.beginStop();
    this.listener.handOver(successor);
    return sumOutcomes(await Promise.all(this.handles.map((handle) => handle.stop(deadline, true))));
  }

  private beginStop(): void {
    this.stopping = true;
    void this.watch.stop();
    for (const slot of this.slots) slot.policy.cancel();
  }

  private async permit(permission?: Promise<void>): Promise<void> {
    await permission;
    this.permitted = true;
    this.listener.goOn();
  }

  get handles(): WorkerHandle[] {
    return this.slots.flatMap((slot) => slot.handles);
  }

  /**
   * Lame duck first; then the socket is closed, and all workers but one drain side by side. The last one drains after
   * them, since it takes their idle connections.
   */
  async stop(deadline: Deadline): Promise<StopOutcome> {
    this.beginStop();
    // A blocked worker never replies; it is waited for no longer than a busy one.
    const lameDuck = deadline.part(STOP_PHASES.lameDuck);
    await lameDuck.wait(Promise.all(this.handles.map((handle) => handle.enterLameDuck(lameDuck.remaining()))));
    await this.listener.close(deadline);
    const { handles } = this;
    const last = handles.find(({ isHealthy }) => isHealthy) ?? handles[0];
    const others = handles.filter((handle) => handle !== last);
    const outcomes = await Promise.all(others.map((handle) => handle.stop(deadline, true)));
    await this.listener.settled(deadline);
    if (last) outcomes.push(await last.stop(deadline));
    return sumOutcomes(outcomes);
  }

  /**
   * Replaces the worker of a slot. When the successor cannot boot, a `start-first` replacement leaves the old worker
   * serving; after `stop-first` the slot restarts with backoff.
   */
  async replace(slot: Slot, reason: RestartReason, order: ReplaceOrder): Promise<Replacement> {
    const old = slot.handle;
    if (this.stopping || !old || slot.outgoing)
      return { replaced: false, reason: 'is being replaced or restarted already', permanent: true };
    const replacing = this.exchange(slot, old, reason, order);
    slot.replacing = replacing;
    try {
      return await replacing;
    } finally {
      slot.replacing = undefined;
    }
  }

  private async exchange(
    slot: Slot,
    old: WorkerHandle,
    reason: RestartReason,
    order: ReplaceOrder,
  ): Promise<Replacement> {
    this.events.emit('worker.replaced', { slot: slot.index, pid: old.pid, reason });
    slot.outgoing = old;
    slot.handle = undefined;
    if (order === 'stop-first') await old.stop(this.drainDeadline(), true);
    if (this.stopping) return { replaced: false, reason: 'was not replaced: the tree is stopping', permanent: true };
    // An operator has removed it meanwhile: nothing is left to replace.
    if (!this.slots.includes(slot)) return { replaced: true };
    const successor = await this.fork(slot);
    const died = successor.exited.promise.then(() => successor.exitMessage);
    const failure = await Promise.race([successor.ready.promise.then(() => undefined), died]);
    if (failure !== undefined) {
      return { replaced: false, reason: `cannot boot: ${failure}`, permanent: successor.isPermanentFailure };
    }
    slot.count(reason);
    await old.exited.promise;
    return { replaced: true };
  }

  /**
   * Adds a slot with the lowest free index, or removes `nextCulled` after draining it.
   * @returns the new number. @throws UserError at the bounds.
   */
  async scale(by: 1 | -1): Promise<number> {
    const count = this.slots.length + by;
    if (count < 1) throw new UserError('there is only one worker left: stop the tree instead');
    if (count > MAX_WORKERS) throw new UserError(`there are ${MAX_WORKERS} workers already, which is the maximum`);
    if (this.stopping) throw new UserError('the tree is stopping');
    if (by === 1) {
      const gap = this.slots.findIndex((slot, place) => slot.index > place);
      const index = gap < 0 ? this.slots.length : gap;
      const slot = new Slot(index, this.restarts);
      this.slots.splice(index, 0, slot);
      await this.fork(slot);
      return count;
    }
    const slot = this.nextCulled;
    if (slot) {
      this.slots.splice(this.slots.indexOf(slot), 1);
      slot.policy.cancel();
      this.counters.closeSlot(slot);
      this.noteBooted();
      const deadline = this.drainDeadline();
      await Promise.all(slot.handles.map((handle) => handle.stop(deadline, true)));
    }
    return count;
  }

  /** The slot that a removal takes: one without a worker, or whose worker is being replaced; else by WORKER_CULLING_STRATEGY. */
  get nextCulled(): Slot | undefined {
    const forkedAt = ({ handle }: Slot) => handle?.forkedAt ?? 0;
    const byAge = this.slots.toSorted((a, b) => forkedAt(a) - forkedAt(b));
    const away = byAge.findLast(({ handle, outgoing }) => !handle || outgoing);
    return away ?? byAge.at(this.config.web.cullingStrategy === 'oldest' ? 0 : -1);
  }

  private drainDeadline(): Deadline {
    return Deadline.after(this.config.shutdownTimeoutMs);
  }

  /** Has each worker serve so many requests at once, also those that are forked later. @throws UserError at the bounds. */
  setMaxThreads(count: number): void {
    if (count < 1 || count > MAX_THREADS)
      throw new UserError(`a worker serves from 1 to ${MAX_THREADS} requests at once, and not ${count}`);
    this.maxThreads = count;
    for (const handle of this.handles) handle.send({ catamount: 'max-threads', count });
  }

  /** Sends the state of jobs to every worker, now and whenever one becomes ready. */
  setJobsHealth(change: Partial<JobsHealth>): void {
    this.jobsHealth = { ...this.jobsHealth, ...change };
    for (const handle of this.handles) handle.send({ catamount: 'jobs', jobs: this.jobsHealth });
  }

  /** From now on handshakes of TLS use these. */
  secure(credentials: Credentials): void {
    this.credentials = credentials;
    for (const handle of this.handles) handle.send({ catamount: 'tls', tls: credentials });
  }

  /** From now on workers may ask this. */
  allow(tree: Tree): void {
    this.tree = tree;
  }

  answer(request: RequestMessage): Promise<ToWorker> {
    return answerRequest(this.tree, request);
  }

  private fork(slot: Slot): Promise<WorkerHandle> {
    this.expecting.push(slot);
    const handle = slot.expect();
    if (this.inProcess) this.attach(this.inProcess());
    else cluster.fork();
    return handle;
  }

  /** Assigns a slot to a worker that throng or we have forked: forks are announced in order. */
  private attach(worker: WorkerProcess): void {
    const slot = this.expecting.shift();
    if (!slot) throw new Error('a worker was forked without a request for one');
    const handle = new WorkerHandle(worker, slot.index, this.phase, this, this.events);
    this.counters.openWorker(handle);
    slot.handle = handle;
    slot.forking?.resolve(handle);
    this.events.emit('worker.forked', { slot: slot.index, pid: handle.pid, phase: this.phase });
    void handle.ready.promise.then(() => this.onReady(slot, handle));
    void Promise.race([handle.ready.promise, handle.exited.promise]).then(() => this.firstLoaded.resolve());
    void handle.exited.promise.then((exit) => this.onExit(slot, handle, exit));
    // Forked before the stop began, it has missed throng's relayed signal and our messages.
    if (this.stopping) handle.kill('the tree is stopping');
    // An operator has removed the slot in the turn of its fork.
    else if (!this.slots.includes(slot)) void handle.stop(this.drainDeadline(), true);
  }

  private onReady(slot: Slot, handle: WorkerHandle): void {
    if (this.maxThreads !== this.config.web.maxThreads)
      handle.send({ catamount: 'max-threads', count: this.maxThreads });
    this.listener.goOn();
    slot.policy.served();
    handle.send({ catamount: 'jobs', jobs: this.jobsHealth });
    if (this.served) handle.send({ catamount: 'tree-served' });
    void slot.outgoing?.stop(this.drainDeadline(), true);
    this.everReady.add(slot);
    this.events.emit('worker.ready', { slot: handle.slot, pid: handle.pid, durationMs: handle.bootMs });
    this.noteBooted();
  }

  private noteBooted(): void {
    if (this.slots.every((slot) => this.everReady.has(slot))) this.booted.resolve();
  }

  private onExit(slot: Slot, handle: WorkerHandle, { code, signal }: ChildExit): void {
    this.counters.closeWorker(handle);
    const expected = this.stopping || (handle.wasDraining && code === 0);
    this.events.emit('worker.exited', { slot: handle.slot, pid: handle.pid, code, signal, expected });
    if (handle === slot.outgoing) {
      slot.outgoing = undefined;
      return;
    }
    slot.handle = undefined;
    if (this.stopping || !this.slots.includes(slot)) return;
    if (slot.outgoing && slot.outgoing.state === 'ready') {
      // The successor never became ready: the worker it should have replaced keeps the slot.
      slot.handle = slot.outgoing;
      slot.outgoing = undefined;
      return;
    }
    this.scheduleRestart(slot, handle);
  }

  private scheduleRestart(slot: Slot, dead: WorkerHandle): void {
    const { policy } = slot;
    const bootFailure = policy.bootDied(dead, MAX_BOOT_DEATHS);
    if (this.everReady.size === 0 && bootFailure) {
      this.booted.reject(bootFailure);
      return;
    }
    slot.count(dead.deathReason);
    policy.last = dead.termination;
    this.events.emit('worker.restart-scheduled', {
      slot: slot.index,
      ...policy.schedule(dead.servedMs, () => void this.fork(slot)),
    });
  }

  async mayLoad(handle: WorkerHandle): Promise<void> {
    if (handle.slot > 0) await this.firstLoaded.promise;
  }

  treeServed(): void {
    this.served = true;
    for (const handle of this.handles) handle.send({ catamount: 'tree-served' });
  }

  reported(status: WorkerStatus): void {
    this.onStatus(status);
  }

  requestReplacement(handle: WorkerHandle): void {
    setTimeout(() => {
      const slot = this.slots.find((each) => each.handle === handle);
      if (slot) void this.replace(slot, 'asked', 'start-first');
    }, LEAVE_PAUSE_MS);
  }

  redispatch(connection: Connection): void {
    this.listener.dispatch(connection);
  }

  free(): void {
    this.listener.goOn();
  }
}
