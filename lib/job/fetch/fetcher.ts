import { randomBytes } from 'node:crypto';
import { NoConnectionError } from '../../core/errors';
import type { WorkerQueue } from '../../internals/bee-queue';
import { Backoff, toError } from '../../support/async';
import { Progress } from '../../support/progress';
import { type Delivery, type FetchReply, fetchAndComplete } from './fetch-call';
import { MAX_DELIVERIES } from './fetch-script';
import type { Ending, ExecutionResult, FetcherOptions } from './fetcher-types';

/** Maximum number of outcomes, and of jobs, in one call. */
const MAX_BATCH = 64;
/** Jobs that start in one turn of the event loop, unless half of the budget is less. Measured: 3 to 4 are best from 10. */
const MOST_IN_A_TURN = 4;

/** Returns a delivery that has not begun to its queue. */
const RELEASED: ExecutionResult = { outcome: { op: 'release' }, recorded: () => undefined };

/**
 * Fetches jobs with one budget over all queues. A permit is taken before a fetch and freed when the handler ends, so no
 * job waits here that another process could run. All outcomes of one tick travel in one call, with a request for
 * exactly the free permits. After a lost reply the outcomes are sent again, which is safe since they are fenced,
 * together with the token of the lost call, whose jobs return to their queues at once.
 *
 * The last permitted delivery of a job runs alone, since the job may have killed its processes. When one is next,
 * nothing is fetched until all running jobs have ended; then it is fetched, and nothing else until it has ended.
 */
export class Fetcher {
  /** Jobs that may still begin. */
  private permits: number;
  /** true: a job that must run alone is next in its queue. */
  private isolationDue = false;
  /** The job that runs alone. */
  private isolated: Delivery | undefined;
  private started = false;
  private isQuiet = false;
  private scheduled = false;
  private closed = false;
  private calls = 0;
  private inFlight = 0;
  /** true: a wake came while calls in flight held every permit, perhaps too late for their scripts to see its job. */
  private missedWake = false;
  /** true: a job was offered to this process, which the next call must fetch or return to its queue. */
  private isOffered = false;
  /** true: jobs may be offered to this process, or to a dead one, so that the next call recalls them. */
  private recallDue = true;
  /** Time at which Redis last delivered a job, or this process began, ms on the monotonic clock. */
  deliveredAt = performance.now();
  /** Number of calls in flight that may deliver jobs. */
  private fetches = 0;
  /** true: the next call that fetches does the upkeep of limits, too. */
  private upkeepDue = true;
  private retryTimer: NodeJS.Timeout | undefined;
  private readonly ended: Ending[] = [];
  private readonly lostTokens: string[] = [];
  private readonly running = new Map<string, Delivery>();
  /** Running deliveries that have not started yet, in the order in which they were fetched. */
  private readonly unbegun: Delivery[] = [];
  /** Jobs that have started in this turn of the event loop, which ends with a flush. */
  private startedInTurn = 0;
  private readonly waiters = new Set<{ readonly met: () => boolean; readonly resolve: () => void }>();
  private readonly peeks: readonly BlockingPeek[];
  private readonly prefixes: readonly string[];
  private readonly backoff = new Backoff({ base: 50, max: 5000 });
  readonly progress = new Progress();
  /** Unique among all processes ever, since the fence of a delivery contains it. */
  private readonly tokenPrefix: string;

  constructor(private readonly options: FetcherOptions) {
    this.permits = options.budget;
    this.tokenPrefix = `${options.identity ?? randomBytes(6).toString('hex')}.`;
    this.prefixes = options.queues.map((queue) => queue.settings.keyPrefix);
    this.peeks = options.queues.map((queue) => new BlockingPeek(queue, (offered) => this.peeked(offered)));
  }

  /** Deliveries whose handlers have not ended. */
  get deliveries(): Iterable<Delivery> {
    return this.running.values();
  }

  /** Time at which it last had a job, or this process began, ms on the monotonic clock. */
  get activeAt(): number {
    return this.running.size > 0 ? performance.now() : this.deliveredAt;
  }

  isRunning(id: string): boolean {
    return this.running.has(id);
  }

  /** Starts fetching. Call it when every queue is ready, so that jobs of later queues do not overtake the first's. */
  start(): void {
    if (this.started) return;
    this.started = true;
    this.wake();
  }

  /** Stops fetching, also before `start`. Jobs that arrive after that are returned, and their delivery is not counted. */
  quiet(): void {
    this.isQuiet = true;
  }

  /** Undoes `quiet`. */
  resume(): void {
    this.isQuiet = false;
    this.wake();
  }

  /** Call when there may be something to fetch; it makes one call per tick. */
  wake(): void {
    this.recallDue = true;
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.flush());
  }

  /** Wakes, frees permits of dead processes, and fetches jobs blocked by limits since removed. Call it periodically. */
  upkeep(): void {
    this.upkeepDue = true;
    this.wake();
  }

  /** Resolves when no handler is running. */
  handlersEnded(): Promise<void> {
    return this.when(() => this.running.size === 0);
  }

  /** Resolves when no handler is running and Redis has every outcome. */
  idle(): Promise<void> {
    return this.when(() => this.isIdle());
  }

  /** Stops sending. Call it when the connections are closed. */
  close(): void {
    this.closed = true;
    clearTimeout(this.retryTimer);
  }

  /**
   * Returns running jobs to the heads of their queues. Outcomes that their handlers report later are dropped.
   * @param counted true: deliveries that have started stay counted. Default false.
   */
  returnRunning(recorded: (delivery: Delivery, applied: boolean) => void, counted = false): void {
    for (const delivery of [...this.running.values()]) {
      this.running.delete(delivery.id);
      const op = counted && !this.unbegun.includes(delivery) ? 'release-counted' : 'release';
      this.ended.push({ delivery, outcome: { op }, recorded: (applied) => recorded(delivery, applied) });
    }
    this.schedule();
  }

  private get fetching(): boolean {
    return this.started && !this.isQuiet && !this.closed;
  }

  /** true: jobs are running in this process, or may be on their way. */
  private get isBusy(): boolean {
    return this.running.size > 0 || this.fetches > 0;
  }

  private isIdle(): boolean {
    const isSilent = this.inFlight === 0 && this.lostTokens.length === 0 && !this.isOffered;
    return isSilent && this.running.size === 0 && this.ended.length === 0;
  }

  private when(met: () => boolean): Promise<void> {
    if (met()) return Promise.resolve();
    return new Promise((resolve) => this.waiters.add({ met, resolve }));
  }

  private tellWaiters(): void {
    for (const waiter of this.waiters) {
      if (!waiter.met()) continue;
      this.waiters.delete(waiter);
      waiter.resolve();
    }
  }

  private flush(): void {
    this.scheduled = false;
    this.startedInTurn = 0;
    this.tellWaiters();
    this.noteDue();
    if (!this.options.command.ready || this.retryTimer || this.closed) {
      this.isolationDue = false;
      return;
    }
    if (!this.isBusy) this.isolationDue = false;
    do {
      const mayFetch = this.fetching && !this.isolationDue && !this.isolated;
      const wanted = mayFetch ? Math.min(Math.max(0, this.permits), MAX_BATCH) : 0;
      const endings = this.ended.splice(0, MAX_BATCH);
      const lostTokens = this.lostTokens.splice(0);
      if (wanted === 0 && this.fetching && this.inFlight > 0) this.missedWake = true;
      // For an offered job a call is made even without a free permit, so that another process gets it.
      if (wanted === 0 && endings.length === 0 && lostTokens.length === 0 && !this.isOffered) break;
      this.isOffered = false;
      this.permits -= wanted;
      void this.call(wanted, endings, lostTokens);
    } while (this.ended.length > 0);
  }

  /** A fetch is due while it is free to run more, and also before it has ever been connected. */
  private noteDue(): void {
    if (this.closed || this.isQuiet || this.isolationDue || this.isolated || this.permits <= 0) return;
    if (this.options.command.ready) this.progress.due();
    else this.progress.failed(this.options.command.lastError ?? new NoConnectionError());
  }

  private async call(wanted: number, endings: readonly Ending[], lostTokens: readonly string[]): Promise<void> {
    const { queues, command, order, limits } = this.options;
    const token = this.tokenPrefix + (++this.calls).toString(36);
    const request = {
      prefixes: this.prefixes,
      token,
      wanted,
      queueOrders: wanted > 0 ? order([...queues.keys()], wanted) : [],
      lostTokens,
      limits: limits.written(this.running.values(), this.upkeepDue),
      busy: this.isBusy,
      recall: this.recallDue,
      outcomes: endings.map((ending) => ({
        queue: queues.findIndex(({ name }) => name === ending.delivery.queue),
        ...ending,
      })),
    };
    if (wanted > 0) this.upkeepDue = false;
    this.recallDue = false;
    this.inFlight++;
    if (wanted > 0) this.fetches++;
    const reply = await fetchAndComplete(command, request).catch(toError);
    this.inFlight--;
    if (wanted > 0) this.fetches--;
    if (reply instanceof Error) {
      this.progress.failed(reply);
      this.permits += wanted;
      this.recallDue = true;
      this.isolationDue = false;
      this.ended.unshift(...endings);
      this.lostTokens.push(...lostTokens, token);
      return this.retryLater(reply);
    }
    this.backoff.reset();
    this.progress.moved();
    for (const [index, ending] of endings.entries()) ending.recorded(reply.applied[index] ?? false);
    this.take(reply, wanted);
  }

  private take(reply: FetchReply, wanted: number): void {
    const { queues, limits } = this.options;
    if (reply.fetched.length > 0) this.deliveredAt = performance.now();
    // Without limits here, blocked jobs are left over from limits that were removed: every call fetches some.
    if (reply.anyBlocked && limits.none) this.upkeepDue = true;
    const deliveries = reply.fetched.map((fetched) => {
      const limitedClass = limits.classOf(fetched.record);
      return { limitedClass, ...fetched, queue: queues[fetched.queue]?.name ?? '' };
    });
    for (const delivery of deliveries) this.running.set(delivery.id, delivery);
    this.permits += wanted - deliveries.length;
    this.isolated ??= deliveries.find((delivery) => delivery.deliveries >= MAX_DELIVERIES);
    if (reply.isolationDue) this.isolationDue = true;
    this.runInTurns(deliveries);
    const lookAgain = this.missedWake && this.permits > 0;
    if (lookAgain) this.missedWake = false;
    if (lookAgain || this.isolationDue || this.isolated) this.schedule();
    else if (this.fetching && reply.fetched.length < wanted) this.armPeeks(reply.paused);
    // A budget larger than one call may find more jobs.
    else if (wanted > 0 && this.permits > 0) this.schedule();
    if (this.waiters.size > 0) this.schedule();
  }

  /** @param offered false: no job came before the peek timed out. */
  private peeked(offered: boolean): void {
    this.progress.confirmedIdle();
    if (offered) this.isOffered = true;
    // Before the reply to a call no peek is armed, since the jobs of that reply may take every permit.
    if (offered || this.inFlight > 0) this.wake();
    else if (this.fetching && this.permits > 0) this.armPeeks(new Set());
  }

  private armPeeks(paused: ReadonlySet<number>): void {
    this.peeks.forEach((peek, queue) => {
      if (!paused.has(queue)) peek.arm();
    });
  }

  /**
   * Starts jobs in several turns. Short jobs that all start together would end together, too, and Redis and this
   * process would wait for each other. With several calls in flight, each does its part while the other does.
   */
  private runInTurns(deliveries: readonly Delivery[]): void {
    const isUnderWay = this.unbegun.length > 0;
    this.unbegun.push(...deliveries);
    // Jobs of a reply that comes between two turns start after those that are left.
    if (!isUnderWay) this.runTurn();
  }

  private runTurn(started = this.startedInTurn): void {
    const most = Math.min(MOST_IN_A_TURN, Math.ceil(this.options.budget / 2));
    const starting = this.unbegun.splice(0, Math.max(0, most - started));
    this.startedInTurn = started + starting.length;
    for (const delivery of starting) this.run(delivery);
    // The outer immediate lets the flush of outcomes of this turn go first.
    if (this.unbegun.length > 0) setImmediate(() => setImmediate(() => this.runTurn(0)));
  }

  private run(delivery: Delivery): void {
    const isAside = this.isolated !== undefined && this.isolated !== delivery;
    if (this.running.get(delivery.id) !== delivery || !this.fetching || isAside) {
      this.ran(delivery, RELEASED);
      return;
    }
    void this.options.handler(delivery).then((performed) => this.ran(delivery, performed));
  }

  private ran(delivery: Delivery, performed: ExecutionResult): void {
    this.permits++;
    if (this.isolated === delivery) this.isolated = undefined;
    this.schedule();
    // A delivery that is no longer in `running` was returned already.
    if (this.running.get(delivery.id) !== delivery) return;
    this.running.delete(delivery.id);
    this.ended.push({ delivery, ...performed });
  }

  private retryLater(error: Error): void {
    if (this.closed) return;
    if (this.backoff.attempts === 0) this.options.onError(error);
    this.retryTimer ??= setTimeout(() => {
      this.retryTimer = undefined;
      this.flush();
    }, this.backoff.next());
  }
}

/** Time for which one peek blocks, s; less than the timeout of its connection. */
const BLOCK_S = 60;

/**
 * Waits for a job, as bee-queue and Sidekiq do, by a command that hands each job to one waiting process: a lone job
 * wakes one processor, however many there are and whoever has enqueued it. The job moves to `offered`, from where the
 * next fetch takes it, and not straight to this process, which by then may have no permit for it, be quiet, or be dead.
 * Never arm it on a paused queue, whose jobs would move back and forth without end. Needs Redis 6.2.
 */
class BlockingPeek {
  private armed = false;

  constructor(
    private readonly queue: WorkerQueue,
    private readonly onEnd: (offered: boolean) => void,
  ) {}

  arm(): void {
    const { blocking } = this.queue;
    if (this.armed || !blocking?.ready || this.queue.paused) return;
    this.armed = true;
    const [waiting, offered] = [this.queue.toKey('waiting'), this.queue.toKey('offered')];
    blocking.send('blmove', [waiting, offered, 'RIGHT', 'LEFT', BLOCK_S]).then(
      (id) => {
        this.armed = false;
        this.onEnd(id !== null);
      },
      () => {
        // The connection was lost; the poll arms the peek again.
        this.armed = false;
      },
    );
  }
}
