import cluster, { type Worker as ClusterWorker } from 'node:cluster';
import type { Config } from '../core/config';
import { UserError } from '../core/errors';
import type { Events } from '../core/events';
import { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { childFlags } from './child-process';
import { Respawn, type RespawnOptions } from './respawn';
import { forkWorkers } from './throng';
import type { Connection } from './worker';
import { WorkerHandle, type WorkerPool } from './worker-handle';

/** How long a stopping tree goes on accepting, ms, until the router in front has stopped sending. */
const POLITE_MS = 2000;
/** This many boot deaths in a row, with no worker ever ready, and the web cannot boot at all. */
const HOPELESS_DEATHS = 3;

/** A signal that reached one worker may be on its way to the primary too: a stop must not begin with a fork, ms. */
const LEAVE_PAUSE_MS = 250;

interface Slot {
  readonly index: number;
  readonly respawn: Respawn;
  handle: WorkerHandle | undefined;
  /** The worker that the present one replaces: serves on until its successor is ready, then drains. */
  outgoing: WorkerHandle | undefined;
  bootDeaths: number;
}

/** The web workers by slot (0..n-1): forked through throng, revived with back-off, drained on stop. */
export class Workers implements WorkerPool {
  private readonly booted = deferred<string>();
  private readonly slots: Slot[];
  /** Whom the workers are for that were asked of Node and are not forked yet, in order. */
  private readonly expecting: Slot[] = [];
  private readonly everReady = new Set<number>();
  private readonly phase = 0;
  private stopping = false;

  constructor(
    private readonly config: Pick<Config, 'web' | 'shutdownTimeoutMs'>,
    private readonly events: Events,
    respawn: RespawnOptions = {},
  ) {
    this.slots = Array.from({ length: config.web.concurrency }, (_, index) => ({
      index,
      respawn: new Respawn(respawn),
      handle: undefined,
      outgoing: undefined,
      bootDeaths: 0,
    }));
  }

  /**
   * Forks all and waits until every slot has been ready once. @returns the address they listen on.
   * @throws UserError when the web cannot boot, with the last words of the worker that tried.
   */
  start(): Promise<string> {
    cluster.setupPrimary({ execArgv: childFlags() });
    cluster.on('fork', (worker) => this.adopt(worker));
    this.expecting.push(...this.slots);
    void forkWorkers({ count: this.slots.length, graceMs: this.config.shutdownTimeoutMs + 5000 });
    return this.booted.promise;
  }

  get handles(): WorkerHandle[] {
    return this.slots.flatMap((slot) => [slot.handle, slot.outgoing].filter((handle) => handle !== undefined));
  }

  /**
   * Polite first, then all but one drain side by side, the last one last: its close ends the listening socket.
   * @returns how many had to be killed.
   */
  async stop(deadline: Deadline): Promise<number> {
    this.stopping = true;
    for (const slot of this.slots) slot.respawn.cancel();
    const soon = Math.min(POLITE_MS, deadline.remaining() / 4);
    await deadline.wait(Promise.all(this.handles.map((handle) => handle.becomePolite(soon))));
    const [last, ...others] = this.handles;
    const killed = await Promise.all(others.map((handle) => this.drainOrKill(handle, deadline, true)));
    if (last) killed.push(await this.drainOrKill(last, deadline, false));
    return killed.filter(Boolean).length;
  }

  private async drainOrKill(handle: WorkerHandle, deadline: Deadline, passOn: boolean): Promise<boolean> {
    if ((await deadline.wait(handle.drain(deadline.earlier(1000), passOn))) === 'done') return false;
    this.kill(handle, 'the deadline is over');
    await handle.exited.promise;
    return true;
  }

  private kill(handle: WorkerHandle, reason: string): void {
    this.events.emit('child.killed', { child: `worker ${handle.slot}`, pid: handle.pid, reason });
    handle.kill();
  }

  private fork(slot: Slot): void {
    this.expecting.push(slot);
    cluster.fork();
  }

  /** Gives a worker that throng (or our respawn) has just forked its slot. */
  private adopt(worker: ClusterWorker): void {
    const slot = this.expecting.shift();
    if (!slot) throw new Error('a worker was forked that nobody asked for');
    const handle = new WorkerHandle(worker, slot.index, this.phase, this);
    slot.handle = handle;
    this.events.emit('worker.forked', { slot: slot.index, pid: handle.pid, phase: this.phase });
    const bootTimer = setTimeout(
      () => this.kill(handle, `not ready after ${this.config.web.bootTimeoutMs / 1000} s`),
      this.config.web.bootTimeoutMs,
    );
    void handle.ready.promise.then((address) => this.onReady(slot, handle, address, bootTimer));
    void handle.exited.promise.then(({ code, signal }) => {
      clearTimeout(bootTimer);
      this.onExit(slot, handle, code, signal);
    });
    // throng relays no signal that came before this fork: a stop that was asked for meanwhile.
    if (this.stopping) handle.kill();
  }

  private onReady(slot: Slot, handle: WorkerHandle, address: string, bootTimer: NodeJS.Timeout): void {
    clearTimeout(bootTimer);
    slot.bootDeaths = 0;
    if (slot.outgoing) void this.drainOrKill(slot.outgoing, Deadline.after(this.config.shutdownTimeoutMs), true);
    this.everReady.add(handle.slot);
    const durationMs = Math.round(handle.uptimeMs);
    this.events.emit('worker.ready', { slot: handle.slot, pid: handle.pid, durationMs });
    if (this.everReady.size === this.slots.length) this.booted.resolve(address);
  }

  private onExit(slot: Slot, handle: WorkerHandle, code: number | null, signal: string | null): void {
    const expected = this.stopping || (handle === slot.outgoing && code === 0);
    this.events.emit('worker.exited', { slot: handle.slot, pid: handle.pid, code, signal, expected });
    if (handle === slot.outgoing) {
      slot.outgoing = undefined;
      return;
    }
    slot.handle = undefined;
    if (this.stopping) return;
    if (!this.everReady.has(handle.slot)) slot.bootDeaths++;
    if (this.isHopeless(slot, handle)) {
      this.booted.reject(bootError(handle, slot.bootDeaths));
      return;
    }
    const wait = slot.respawn.schedule(handle.uptimeMs, () => this.fork(slot));
    this.events.emit('worker.respawn', { slot: handle.slot, ...wait });
  }

  private isHopeless(slot: Slot, handle: WorkerHandle): boolean {
    if (this.everReady.size > 0) return false;
    return handle.failure?.final === true || slot.bootDeaths >= HOPELESS_DEATHS;
  }

  /** A worker asks to go: a successor is forked first, and the worker drains once that one is ready. */
  leave(handle: WorkerHandle, reason: string): void {
    setTimeout(() => {
      const slot = this.slots[handle.slot];
      if (this.stopping || !slot || slot.handle !== handle || slot.outgoing) return;
      this.events.emit('worker.replaced', { slot: handle.slot, pid: handle.pid, reason });
      slot.outgoing = handle;
      slot.handle = undefined;
      this.fork(slot);
    }, LEAVE_PAUSE_MS);
  }

  /** A connection that one worker cannot keep, or never took, goes to any that serves. */
  giveAway(connection: Connection): void {
    const ready = this.handles.filter((handle) => handle.state === 'ready');
    const taker = ready[Math.floor(Math.random() * ready.length)];
    if (taker) taker.adopt(connection);
    else connection.close();
  }
}

function bootError(handle: WorkerHandle, times: number): UserError {
  const { failure } = handle;
  if (failure?.final) return new UserError(failure.message, failure.exitCode);
  const reason = failure?.message ?? 'its output above says why';
  return new UserError(`Catamount cannot start: worker ${handle.slot} died ${times} times at boot: ${reason}`);
}
