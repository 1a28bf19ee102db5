import cluster, { type Worker as ClusterWorker } from 'node:cluster';
import type { Config } from '../../core/config';
import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { type RequestCounts, sumByKey, sumRequests } from '../../core/request-counts';
import { FORCED_EXIT_MS, type StopOutcome, stopPhase, sumOutcomes } from '../../core/shutdown';
import type { Connection } from '../../internals/socket-handoff';
import { Deadline, type Deferred, deferred } from '../../support/async';
import { CHILD_STDIO, childFlags } from '../child-process';
import { type AskMessage, answerRequest, type ToWorker } from '../messages';
import type { NextTry, Operations, RestartReason, SlotStatus, Termination, TreeTotals, WorkerStatus } from '../status';
import { Respawn, type RespawnOptions } from './child-handle';
import { Listener } from './listener';
import type { ReporterCandidate } from './reporter-election';
import { forkWorkers } from './throng';
import { type PoolCallbacks, WorkerHandle } from './worker-handle';

/** This many boot deaths in a row, with no worker ever ready, and the web cannot boot at all. */
const HOPELESS_DEATHS = 3;
/** A signal that reached one worker may be on its way to the primary too: a stop must not begin with a fork, ms. */
const LEAVE_PAUSE_MS = 250;
/** How often silence is looked for, ms. */
const WATCH_MS = 500;
/** As WEB_CONCURRENCY. */
const MOST_WORKERS = 64;

/** `start-first`: the successor is ready before the old worker drains. `drain-first`: less memory, one worker fewer meanwhile. */
export type ReplaceOrder = 'start-first' | 'drain-first';
/** How a replacement ended; `reason` says why the successor never became ready. */
export type Replacement =
  | { readonly replaced: true }
  /** `hopeless`: another try cannot help. */
  | { readonly replaced: false; readonly reason: string; readonly hopeless: boolean };

/** The web workers by slot (0..n-1): forked through throng, revived with back-off, replaced one by one, drained on stop. */
export class WorkerPool implements PoolCallbacks {
  readonly slots: Slot[];
  /** The generation that is forked now. */
  phase = 0;
  readonly ledger = new LifetimeCounters();
  /** Hears every report of a worker. */
  onTold: (status: WorkerStatus) => void = () => undefined;
  private readonly booted = deferred();
  private readonly listener: Listener;
  private readonly expecting: Slot[] = [];
  private readonly everReady = new Set<Slot>();
  private watch: NodeJS.Timeout | undefined;
  private jobsRunning = true;
  private stopping = false;
  private operations: Operations | undefined;

  constructor(
    count: number,
    private readonly config: Pick<Config, 'listen' | 'web' | 'shutdownTimeoutMs' | 'heapCaps'>,
    private readonly events: Events,
    private readonly respawn: RespawnOptions = {},
  ) {
    this.slots = Array.from({ length: count }, (_, index) => new Slot(index, respawn));
    this.listener = new Listener(config.listen, () => this.handles, events);
  }

  /**
   * Listens, forks all, and waits until every slot has been ready once.
   * @param onListening told the address in use before anything is forked. @returns that address.
   * @throws UserError when the address cannot be had, or the web cannot boot, with the last words of the worker that tried.
   */
  async start(onListening?: (address: string) => void): Promise<string> {
    const address = await this.listener.listen();
    onListening?.(address);
    cluster.setupPrimary({ execArgv: childFlags(this.config.heapCaps?.workerMb ?? null), stdio: [...CHILD_STDIO] });
    cluster.on('fork', (worker) => this.adopt(worker));
    this.expecting.push(...this.slots);
    void forkWorkers({ count: this.slots.length, graceMs: this.config.shutdownTimeoutMs + FORCED_EXIT_MS });
    this.watch = setInterval(() => this.killUnresponsive(), WATCH_MS);
    await this.booted.promise;
    return address;
  }

  /** For the tree's place in Redis. */
  get reporterCandidates(): ReporterCandidate[] {
    return this.handles.map((handle) => ({
      pid: handle.pid,
      fit: handle.isHealthy,
      appoint: (on) => handle.setReporter(on),
    }));
  }

  get handles(): WorkerHandle[] {
    return this.slots.flatMap((slot) => slot.handles);
  }

  /**
   * Polite first; then nobody is accepted any more, and all but one drain side by side, the last one last: it takes over
   * their idle connections.
   */
  async stop(deadline: Deadline): Promise<StopOutcome> {
    this.stopping = true;
    clearInterval(this.watch);
    for (const slot of this.slots) slot.respawn.cancel();
    // A blocked worker answers none of this: the others do not wait for it any longer than for a busy one.
    const lameDuck = stopPhase(deadline, 'lameDuck');
    await lameDuck.wait(Promise.all(this.handles.map((handle) => handle.enterLameDuck(lameDuck.remaining()))));
    await this.listener.close(deadline);
    const { handles } = this;
    const last = handles.find(({ isHealthy }) => isHealthy) ?? handles[0];
    const others = handles.filter((handle) => handle !== last);
    const outcomes = await Promise.all(others.map((handle) => this.drainOrKill(handle, deadline, true)));
    await this.listener.settled(deadline);
    if (last) outcomes.push(await this.drainOrKill(last, deadline, false));
    return sumOutcomes(outcomes);
  }

  /**
   * Puts a successor in the worker's place. When the successor cannot boot, a `start-first` replacement leaves the old
   * worker serving; after `drain-first` the slot is revived with back-off.
   */
  async replace(slot: Slot, reason: RestartReason, order: ReplaceOrder): Promise<Replacement> {
    const old = slot.handle;
    if (this.stopping || !old || slot.outgoing)
      return { replaced: false, reason: 'the slot is changing already', hopeless: true };
    this.events.emit('worker.replaced', { slot: slot.index, pid: old.pid, reason });
    slot.outgoing = old;
    slot.handle = undefined;
    if (order === 'drain-first') await this.drainOrKill(old, Deadline.after(this.config.shutdownTimeoutMs), true);
    if (this.stopping) return { replaced: false, reason: 'the tree is stopping', hopeless: true };
    const successor = await this.fork(slot);
    const died = successor.exited.promise.then(({ code, signal }) => successor.exitMessage(code, signal));
    const failure = await Promise.race([successor.ready.promise.then(() => undefined), died]);
    if (failure !== undefined) {
      const hopeless = successor.timedOut || successor.failure?.final === true;
      return { replaced: false, reason: failure, hopeless };
    }
    slot.count(reason);
    await old.exited.promise;
    return { replaced: true };
  }

  /** Kills a worker that cannot be asked any more. Its slot is revived. */
  kill(handle: WorkerHandle, reason: string): void {
    this.events.emit('child.killed', { child: `worker ${handle.slot}`, pid: handle.pid, reason });
    handle.kill();
  }

  /** Adds a slot at the end, or drains the last one away. @returns the new number. @throws UserError at the bounds. */
  async scale(by: 1 | -1): Promise<number> {
    const count = this.slots.length + by;
    if (count < 1) throw new UserError('there is only one worker left: stop the tree instead');
    if (count > MOST_WORKERS) throw new UserError(`there are ${MOST_WORKERS} workers already, the most there may be`);
    if (this.stopping) throw new UserError('the tree is stopping');
    if (by === 1) {
      const slot = new Slot(count - 1, this.respawn);
      this.slots.push(slot);
      await this.fork(slot);
    } else {
      const slot = this.slots.pop();
      slot?.respawn.cancel();
      if (slot) this.ledger.closeSlot(slot);
      const deadline = Deadline.after(this.config.shutdownTimeoutMs);
      await Promise.all((slot?.handles ?? []).map((handle) => this.drainOrKill(handle, deadline, true)));
    }
    return this.slots.length;
  }

  /** @param handOff whether another worker can take over its idle connections. */
  private async drainOrKill(handle: WorkerHandle, deadline: Deadline, handOff: boolean): Promise<StopOutcome> {
    const drained = handle.drain(stopPhase(deadline, 'drain'), handOff);
    const late = (await (handOff ? stopPhase(deadline, 'handOff') : deadline).wait(drained)) === 'late';
    if (late) this.kill(handle, 'the deadline is over');
    const { code } = await handle.exited.promise;
    return late ? { killed: 1, failed: 0 } : { killed: 0, failed: code === 0 ? 0 : 1 };
  }

  /**
   * No heartbeat means a blocked event loop (a slow request does not block it), or a stopped process: it is past asking.
   * What it was doing, by its last heartbeat and its own note, is said first.
   */
  private killUnresponsive(): void {
    for (const handle of this.handles) {
      handle.lookForLost();
      if (handle.state !== 'ready' || handle.heartbeatAgeMs < this.config.web.workerTimeoutMs) continue;
      handle.timedOut = true;
      const inFlight = handle.status?.inFlight ?? [];
      const { slot, pid, lastRequest = null } = handle;
      const heartbeatAgeMs = Math.round(handle.heartbeatAgeMs);
      handle.silence = { heartbeatAgeMs, doing: (inFlight[0] ?? lastRequest)?.what ?? null };
      const last = { slot, pid, heartbeatAgeMs, inFlight, lastRequest };
      this.events.emit('worker.unresponsive', last);
      this.kill(handle, `not heard of for ${Math.round(heartbeatAgeMs / 1000)} s`);
    }
  }

  /** Tells every worker, now and at its start, whether jobs are being run. */
  setJobsRunning(running: boolean): void {
    this.jobsRunning = running;
    for (const handle of this.handles) handle.setJobsRunning(running);
  }

  /** From now on workers may ask for these. */
  allow(operations: Operations): void {
    this.operations = operations;
  }

  answer(asked: AskMessage): Promise<ToWorker> {
    return answerRequest(this.operations, asked);
  }

  private fork(slot: Slot): Promise<WorkerHandle> {
    this.expecting.push(slot);
    const handle = slot.expect();
    cluster.fork();
    return handle;
  }

  /** Gives a worker that throng (or we) have just forked its slot: forks are announced in order. */
  private adopt(worker: ClusterWorker): void {
    const slot = this.expecting.shift();
    if (!slot) throw new Error('a worker was forked that nobody asked for');
    const handle = new WorkerHandle(worker, slot.index, this.phase, this, this.events);
    this.ledger.openWorker(handle);
    slot.handle = handle;
    slot.forking?.resolve(handle);
    this.events.emit('worker.forked', { slot: slot.index, pid: handle.pid, phase: this.phase });
    const bootTimer = setTimeout(() => {
      handle.timedOut = true;
      this.kill(handle, `not ready after ${this.config.web.bootTimeoutMs / 1000} s`);
    }, this.config.web.bootTimeoutMs);
    void handle.ready.promise.then(() => this.onReady(slot, handle, bootTimer));
    void handle.exited.promise.then(({ code, signal }) => {
      clearTimeout(bootTimer);
      this.onExit(slot, handle, code, signal);
    });
    // Asked for before the stop began: throng's relayed signal and our messages have missed it.
    if (this.stopping) handle.kill();
  }

  private onReady(slot: Slot, handle: WorkerHandle, bootTimer: NodeJS.Timeout): void {
    clearTimeout(bootTimer);
    this.listener.goOn();
    slot.bootDeaths = 0;
    slot.nextTry = null;
    if (!this.jobsRunning) handle.setJobsRunning(false);
    if (slot.outgoing) void this.drainOrKill(slot.outgoing, Deadline.after(this.config.shutdownTimeoutMs), true);
    this.everReady.add(slot);
    const durationMs = Math.round(handle.uptimeMs);
    this.events.emit('worker.ready', { slot: handle.slot, pid: handle.pid, durationMs });
    if (this.everReady.size === this.slots.length) this.booted.resolve();
  }

  private onExit(slot: Slot, handle: WorkerHandle, code: number | null, signal: string | null): void {
    this.ledger.closeWorker(handle);
    const expected = this.stopping || (handle.wasDraining && code === 0);
    this.events.emit('worker.exited', { slot: handle.slot, pid: handle.pid, code, signal, expected });
    if (handle === slot.outgoing) {
      slot.outgoing = undefined;
      return;
    }
    slot.handle = undefined;
    if (this.stopping || !this.slots.includes(slot)) return;
    if (slot.outgoing && slot.outgoing.state === 'ready') {
      // The successor never came up: the one it should replace keeps the slot.
      slot.handle = slot.outgoing;
      slot.outgoing = undefined;
      return;
    }
    this.scheduleRestart(slot, handle, code, signal);
  }

  private scheduleRestart(slot: Slot, dead: WorkerHandle, code: number | null, signal: string | null): void {
    if (!dead.wasReady) slot.bootDeaths++;
    if (this.everReady.size === 0 && (dead.failure?.final || slot.bootDeaths >= HOPELESS_DEATHS)) {
      this.booted.reject(bootError(dead, slot.bootDeaths, dead.exitMessage(code, signal)));
      return;
    }
    slot.count(dead.deathReason);
    slot.death = dead.death(code, signal);
    const wait = slot.respawn.schedule(dead.servedMs, () => void this.fork(slot));
    slot.nextTry = { at: new Date(Date.now() + wait.waitMs).toISOString(), attempt: wait.attempt };
    this.events.emit('worker.restart-scheduled', { slot: slot.index, ...wait });
  }

  reported(status: WorkerStatus): void {
    this.onTold(status);
  }

  requestReplacement(handle: WorkerHandle): void {
    setTimeout(() => {
      const slot = this.slots[handle.slot];
      if (slot?.handle === handle) void this.replace(slot, 'asked', 'start-first');
    }, LEAVE_PAUSE_MS);
  }

  handOff(connection: Connection): void {
    this.listener.handOut(connection);
  }

  free(): void {
    this.listener.goOn();
  }
}

function bootError({ slot, failure }: WorkerHandle, times: number, reason: string): UserError {
  if (failure?.final) return new UserError(failure.message, failure.exitCode);
  return new UserError(`Catamount cannot start: worker ${slot} died ${times} times at boot: ${reason}`);
}

/** A worker's place, kept by its successors. */
export class Slot {
  /** The worker that belongs here now, from its fork to its exit. */
  handle: WorkerHandle | undefined;
  /** The one it replaces: serves on until its successor is ready, then drains. */
  outgoing: WorkerHandle | undefined;
  /** Deaths before ready, in a row. */
  bootDeaths = 0;
  readonly restarts: Partial<Record<RestartReason, number>> = {};
  /** How the last one that died here did so. */
  death: Termination | null = null;
  nextTry: NextTry | null = null;
  readonly respawn: Respawn;
  /** Set while a fork for this slot is on its way. */
  forking: Deferred<WorkerHandle> | undefined;

  constructor(
    readonly index: number,
    respawn: RespawnOptions,
  ) {
    this.respawn = new Respawn(respawn);
  }

  get handles(): WorkerHandle[] {
    return [this.handle, this.outgoing].filter((handle) => handle !== undefined);
  }

  count(reason: RestartReason): void {
    this.restarts[reason] = (this.restarts[reason] ?? 0) + 1;
  }

  picture(): SlotStatus {
    const drains = this.handles.find((handle) => handle.state === 'draining');
    return {
      index: this.index,
      death: this.death,
      nextTry: this.nextTry,
      drainUntil: drains?.drainUntil?.toISOString() ?? null,
      outgoing: this.outgoing?.pid ?? null,
    };
  }

  /** The worker that the next fork brings. */
  expect(): Promise<WorkerHandle> {
    this.forking = deferred();
    return this.forking.promise;
  }
}

/** What workers have counted in all, those that are gone included: whoever dies or is scaled away, no sum goes back. */
export class LifetimeCounters {
  private readonly living = new Set<WorkerHandle>();
  private requestsOfGone: RequestCounts = sumRequests([]);
  private cpuOfGone: Readonly<Record<string, number>> = {};
  private restartsOfGone: TreeTotals['workerRestarts'] = {};

  openWorker(handle: WorkerHandle): void {
    this.living.add(handle);
  }

  /** It has exited. What it counted after its last heartbeat, nobody knows. */
  closeWorker(handle: WorkerHandle): void {
    this.living.delete(handle);
    const { slot, status } = handle;
    if (!status) return;
    this.requestsOfGone = sumRequests([this.requestsOfGone, status.requests]);
    this.cpuOfGone = sumByKey([this.cpuOfGone, { [processName(slot)]: status.cpuSeconds }]);
  }

  /** It was scaled away. */
  closeSlot({ restarts }: Slot): void {
    this.restartsOfGone = sumByKey([this.restartsOfGone, restarts]);
  }

  totals(slots: readonly Slot[]): TreeTotals {
    const told = [...this.living].flatMap(({ slot, status }) => (status ? [{ slot, status }] : []));
    const restarts: Partial<Record<RestartReason, number>> = sumByKey([
      this.restartsOfGone,
      ...slots.map((slot) => slot.restarts),
    ]);
    return {
      requests: sumRequests([this.requestsOfGone, ...told.map(({ status }) => status.requests)]),
      workerRestarts: restarts,
      cpuSeconds: sumByKey([
        this.cpuOfGone,
        ...told.map(({ slot, status }) => ({ [processName(slot)]: status.cpuSeconds })),
      ]),
    };
  }
}

function processName(slot: number): string {
  return `web.${slot}`;
}
