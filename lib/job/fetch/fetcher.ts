import type { Knex } from 'knex';
import { Backoff } from '../../support/backoff';
import { Progress } from '../../support/progress';
import { toError } from '../../support/to-error';
import { isUuid } from '../../support/uuid';
import type { Limits } from '../definition/limits';
import type { Gate } from '../dispatch/gate';
import type { Hint, HintReader } from '../hint/hint-reader';
import { begunHistory } from '../record/history';
import type { CancelledRun } from '../row/cancel';
import { type Choice, type Claimant, claim, isLockTimeout, type ReadyJob, releaseUnknown } from '../row/claim';
import { type Outcome, recordOutcomes } from '../row/end';
import type { Delivery } from '../row/job-row';
import { claimLimited } from '../row/limited';
import { claimByPriority } from '../row/priority';
import { ClaimedAhead, MAX_AHEAD_MS } from './claimed-ahead';
import { LockedEndings } from './locked-endings';
import { type QueueOrder, type ServedQueue, strictOrder, weightedOrder } from './queue-order';

/**
 * Number of deliveries without an outcome that a job may have, since it may have killed its processes. The last one runs alone.
 * At the next one the job is dead.
 */
export const MAX_DELIVERIES = 3;
/** Maximum number of outcomes and of jobs in one statement. */
const MAX_BATCH = 512;
/**
 * After this many hints in a row the list may have been full: a scan finds the jobs that had no room, sooner than the
 * dispatcher.
 */
const MANY_HINTS = 1000;
/**
 * Interval of the scans while Redis does not answer, or answers on one connection only, ms. Notifications announce most jobs
 * sooner.
 */
const SCAN_MS = 1000;
/**
 * Longest interval of the scans where there is no Redis and notifications arrive, ms. The interval doubles while nothing is
 * found.
 */
const MAX_SCAN_MS = 15_000;
/** A claim without a reply may still run later. Its jobs are looked for once more after this time, ms. */
const LATE_CLAIM_MS = 10_000;
/** Jobs whose rows an open transaction has locked, or that have to wait for its end, are looked at again after this time, ms. */
const LOCKED_MS = 1000;
/** A scan that has filled all slots looks for jobs of limits, too, once in this time, ms. */
const LIMITED_MS = 100;
/** `onBegun` is called at most once in this time, ms. */
const BEGUN_MS = 1000;

export interface ExecutionResult {
  readonly outcome: Outcome;
  /**
   * Called once Postgres has the outcome; false: it was void (`recordOutcomes`). With a reason: the job was asked to cancel
   * for it, and has left instead.
   */
  readonly recorded: (applied: boolean, cancelReason?: string) => unknown;
  /** The batch that may have ended with the job. */
  readonly batchId?: string | undefined;
}

interface Ending extends ExecutionResult {
  readonly delivery: Delivery;
}

export interface FetcherOptions {
  readonly knex: Knex;
  /** Unique among all processors ever. */
  readonly identity: string;
  readonly gate: Gate;
  readonly queues: readonly ServedQueue[];
  readonly weighted: boolean;
  /** Jobs that run at once, over all queues. */
  readonly concurrency: number;
  readonly limits: Limits;
  /** undefined: there is no Redis, so all jobs are found in Postgres. */
  readonly hints: HintReader | undefined;
  /** @returns true: notifications of Postgres arrive here. */
  readonly isNotified: () => boolean;
  /** Runs one job. It must never reject. */
  readonly perform: (delivery: Delivery) => Promise<ExecutionResult>;
  /** Called when jobs begin, at most once a second. */
  readonly onBegun: () => void;
  /** Gives jobs of plain bee-queue producers a row. @returns the ids of those that are ready. */
  readonly adopt: (hints: readonly Hint[]) => Promise<readonly string[]>;
  /** Called with jobs that others may run at once: they were returned, or hinted at in vain. */
  readonly onReturned: (jobs: readonly ReadyJob[]) => void;
  /** Called with jobs that have left since they were asked to cancel. */
  readonly onCancelled: (jobs: readonly CancelledRun[]) => void;
  /** Called when jobs are to run again later. */
  readonly onScheduled: () => void;
  /** Has held jobs of these keys run, since jobs of theirs have begun or ended. */
  readonly admit: (limitKeys: readonly string[]) => void;
  /** Called with batches of which jobs have ended, or have died. */
  readonly onBatches: (ids: readonly string[]) => void;
  /** Called for the first failure in a row only. */
  readonly onError: (error: Error) => void;
}

/**
 * Fetches jobs with one budget over all queues. Hints from Redis say which rows to claim. While Redis does not answer, a scan
 * claims the rows that are due.
 *
 * ```text
 *  what makes it look                            a turn, as long as there is something to do
 *   a hint that was waited for (hint-reader) ─┐   ┌ record: what has ended, by one statement
 *   wake(): jobs may be ready                 ├─▶ ┤                 at the same time
 *   scan(): hints may be lost                 │   └ fill: pop hints ─▶ claim by ids ┬─▶ begin ─▶ run, or ahead ─▶ run
 *   a run has ended, so a slot is free       ─┘            or else, claim by a scan ┘
 *                                                then waitForWork: for a hint, or without Redis for a while
 * ```
 *
 * A job that has lost MAX_DELIVERIES - 1 deliveries may have killed its processes, so it runs alone. When the fetcher meets it, it
 * fetches nothing until Postgres has the outcomes of all others; while an open transaction keeps it from one of these, it leaves
 * the job and goes on. Then it claims that job, and nothing else until it has ended. The next delivery is alone, too. It only
 * records the death, but `afterDiscard`, called before that, may kill.
 */
export class Fetcher {
  readonly progress = new Progress();
  /** Time of the last `onBegun`, ms on the monotonic clock. */
  private onBegunAt = Number.NEGATIVE_INFINITY;
  private started = false;
  private isQuiet = false;
  private closed = false;
  private isTurnQueued = false;
  /** true during a turn, which waits for Redis and Postgres. */
  private isInTurn = false;
  /** true: jobs may be ready, so that the next turn looks for them. */
  private isLookDue = true;
  /** true: hints may be missing, so that it looks by scans until one finds nothing more and Redis answers. */
  private isScanDue = true;
  /** true: jobs with a priority may run, so that a scan in the order of priorities chooses the jobs, until there are none. */
  private isPriorityDue = true;
  /** Hints that were popped since the lists were last empty. */
  private hintsInARow = 0;
  private readonly running = new Map<string, { readonly delivery: Delivery; readonly begunAt: number }>();
  private readonly ahead: ClaimedAhead;
  private readonly ended: Ending[] = [];
  /** Endings whose outcomes are on their way to Postgres. Until the reply, their rows are still this process's. */
  private recording: readonly Ending[] = [];
  private readonly locked: LockedEndings<Ending>;
  /** The job that must run alone and is next. */
  private isolationDue: string | undefined;
  private isolated: string | undefined;
  /** Times at which claims whose replies were lost are looked for, ms on the monotonic clock. */
  private releaseUnknownAt: number[] = [];
  /** Time of the last look for jobs of limits, ms on the monotonic clock. */
  private limitedAt = Number.NEGATIVE_INFINITY;
  private retryTimer: NodeJS.Timeout | undefined;
  private idleTimer: NodeJS.Timeout | undefined;
  private scanMs = SCAN_MS;
  private readonly waiters = new Set<{ readonly met: () => boolean; readonly resolve: () => void }>();
  private readonly backoff = new Backoff({ base: 50, max: 5000 });
  private readonly order: QueueOrder;

  constructor(private readonly options: FetcherOptions) {
    const { weighted, queues, knex, identity } = options;
    const onFree = (endings: readonly Ending[]) => {
      this.ended.push(...endings);
      this.schedule();
    };
    this.locked = new LockedEndings({ knex, identity, onFree });
    this.ahead = new ClaimedAhead((deliveries) => this.returnUnstarted(deliveries));
    this.order = weighted ? weightedOrder(queues.map((queue) => queue.weight)) : strictOrder;
  }

  start(): void {
    this.started = true;
    this.wake();
  }

  /** Stops fetching, also before `start`; running jobs go on. */
  quiet(): void {
    this.isQuiet = true;
    this.returnUnstarted(this.ahead.clear());
    this.passOnHint();
  }

  /** Undoes `quiet`. */
  resume(): void {
    this.isQuiet = false;
    this.wake();
  }

  /** Call when a job may be ready that no hint has announced. */
  wake(): void {
    this.isLookDue = true;
    this.schedule();
  }

  /** Call when hints may have been lost: the next look is into Postgres. */
  scan(): void {
    this.isScanDue = true;
    this.wake();
  }

  /** Call when jobs with a priority may run. */
  prioritised(): void {
    this.isPriorityDue = true;
    this.wake();
  }

  /** Resolves when no job is running. */
  runsEnded(): Promise<void> {
    return this.when(() => this.running.size === 0);
  }

  /** Resolves when no job is running and Postgres has every outcome. */
  idle(): Promise<void> {
    return this.when(() => this.running.size + this.ended.length + this.locked.endings.length === 0 && !this.isInTurn);
  }

  /** Stops for good. Call it before the connections are closed. */
  close(): void {
    this.closed = true;
    clearTimeout(this.retryTimer);
    clearTimeout(this.idleTimer);
    this.ahead.close();
    this.locked.close();
  }

  /**
   * Returns running jobs to the heads of their queues. What their runs report later is dropped.
   * @param counted true: their deliveries stay counted. Default false.
   */
  returnRunning(recorded: (delivery: Delivery, applied: boolean) => void, counted = false): void {
    const op = counted ? 'return-counted' : 'return';
    for (const { delivery } of this.running.values())
      this.ended.push({
        delivery,
        outcome: { op, ...begunHistory(delivery) },
        recorded: (applied, reason) => reason === undefined && recorded(delivery, applied),
      });
    this.running.clear();
    this.schedule();
  }

  private passOnHint(): void {
    const hint = this.options.hints?.unused();
    if (hint) this.options.onReturned([hint]);
  }

  private when(met: () => boolean): Promise<void> {
    if (met()) return Promise.resolve();
    return new Promise((resolve) => this.waiters.add({ met, resolve }));
  }

  private schedule(): void {
    if (this.isTurnQueued) return;
    this.isTurnQueued = true;
    setImmediate(() => {
      this.isTurnQueued = false;
      void this.turn();
    });
  }

  /** true: it may begin jobs. */
  private get isOpen(): boolean {
    return this.started && !this.isQuiet && !this.closed && this.isolated === undefined;
  }

  /** true: Postgres has the outcomes of all jobs, so that one that kills this process takes none with it. */
  private get isAlone(): boolean {
    return (
      this.running.size + this.ahead.size + this.ended.length + this.recording.length + this.locked.endings.length === 0
    );
  }

  /** Slots that may be filled now. */
  private get free(): number {
    if (!this.isOpen) return 0;
    if (this.isolationDue !== undefined) return this.isAlone ? 1 : 0;
    return Math.min(MAX_BATCH, this.options.concurrency - this.running.size);
  }

  /** Jobs to claim now: for free slots, and those that are about to start. */
  private get wanted(): number {
    const { free } = this;
    // By weights an order is drawn for each claim, which should be for few jobs.
    if (!this.isOpen || this.isolationDue !== undefined || this.options.weighted) return free;
    // A slot whose run has turned out to be long does not count.
    const since = performance.now() - MAX_AHEAD_MS;
    const lively = [...this.running.values()].filter(({ begunAt }) => begunAt > since).length + free;
    return Math.min(MAX_BATCH, free + this.ahead.room(lively));
  }

  /** Records what has ended and fills free slots, again and again until there is nothing to do. */
  private async turn(): Promise<void> {
    if (this.isInTurn || this.retryTimer) return;
    this.isInTurn = true;
    try {
      while (!this.closed && (this.ended.length > 0 || (this.isLookDue && this.wanted > 0))) await this.step();
      this.backoff.reset();
    } catch (thrown) {
      this.failed(toError(thrown));
    }
    this.isInTurn = false;
    for (const waiter of this.waiters) {
      if (!waiter.met()) continue;
      this.waiters.delete(waiter);
      waiter.resolve();
    }
    this.waitForWork();
  }

  private async step(): Promise<void> {
    const endings = this.ended.splice(0, MAX_BATCH);
    // The next job may kill this process, and with it the outcome of the one that ran alone.
    const ranAlone = endings.some(({ delivery }) => delivery.deliveries >= MAX_DELIVERIES);
    this.progress.due();
    const results = await Promise.allSettled([
      endings.length > 0 ? this.record(endings) : undefined,
      this.isLookDue && !ranAlone && this.wanted > 0 ? this.fill() : undefined,
    ]);
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
    this.progress.moved();
  }

  private async record(endings: readonly Ending[]): Promise<void> {
    const { knex, identity, admit, onReturned, onScheduled, onCancelled } = this.options;
    this.recording = endings;
    const { applied, cancelled, unrecorded, locked, error } = await recordOutcomes(knex, identity, endings);
    this.recording = [];
    this.ended.unshift(...unrecorded);
    if (locked.length > 0) {
      this.locked.push(locked);
      // Whoever locks a row may do so for long. The others go on meanwhile (`beginAlone`).
      this.isolationDue = undefined;
    }
    const recorded = endings.filter((ending) => !unrecorded.includes(ending) && !locked.includes(ending));
    const reasons = new Map(cancelled.map(({ id, reason }) => [id, reason]));
    for (const { delivery, recorded: tell } of recorded) tell(applied.has(delivery.id), reasons.get(delivery.id));
    if (cancelled.length > 0) onCancelled(cancelled);
    const returned = recorded.filter(({ outcome }) => outcome.op === 'return' || outcome.op === 'return-counted');
    if (returned.length > 0) onReturned(returned.map(({ delivery }) => delivery));
    if (recorded.some(({ outcome }) => 'waitMs' in outcome)) onScheduled();
    const limitKeys = new Set(recorded.flatMap(({ delivery }) => delivery.limitKey ?? []));
    if (limitKeys.size > 0) admit([...limitKeys]);
    const batchIds = new Set(recorded.flatMap(({ batchId }) => batchId ?? []));
    if (batchIds.size > 0) this.options.onBatches([...batchIds]);
    if (error) throw error;
  }

  private async fill(): Promise<void> {
    // A wake that comes while this looks counts for the next look.
    this.isLookDue = false;
    await this.refresh();
    const { origin } = this.options.gate;
    if (origin === undefined) return;
    const claimant = { identity: this.options.identity, origin };
    const { wanted } = this;
    if (wanted === 0) return;
    const found = await (this.isolationDue !== undefined
      ? this.fillAlone(claimant, this.isolationDue)
      : this.isScanDue
        ? this.fillByScan(claimant, wanted)
        : this.fillByHints(claimant, wanted));
    if (found) this.isLookDue = true;
  }

  /** Brings up to date what the claims rely on. */
  private async refresh(): Promise<void> {
    const { knex, identity, gate } = this.options;
    const now = performance.now();
    if (this.releaseUnknownAt.some((at) => at <= now)) {
      const endings = [...this.ended, ...this.recording].map(({ delivery }) => delivery.id);
      const known = [...this.running.keys(), ...this.ahead.ids, ...this.locked.ids, ...endings];
      const { cancelled, isMore } = await releaseUnknown(knex, identity, known);
      this.options.onCancelled(cancelled);
      this.releaseUnknownAt = this.releaseUnknownAt.filter((at) => at > now);
      if (isMore) this.releaseUnknownAt.push(now + LOCKED_MS);
      // The released jobs have no hints.
      this.isScanDue = true;
    }
    if (!gate.isFresh || gate.origin === undefined) await gate.refresh();
  }

  private get openQueues(): number[] {
    const { queues, gate } = this.options;
    return [...queues.keys()].filter((number) => !gate.paused.has(queues[number]?.name ?? ''));
  }

  /** @returns true when there may be more. */
  private async fillByScan(claimant: Claimant, wanted: number): Promise<boolean> {
    const { hints } = this.options;
    const isFound = await this.claimFirst(claimant, wanted);
    // Jobs that become ready from now on get hints.
    if (!isFound && hints?.ready) this.isScanDue = false;
    return isFound;
  }

  /** Claims the first jobs in the order of the queues. @returns true when it has found some. */
  private async claimFirst(claimant: Claimant, wanted: number): Promise<boolean> {
    const { queues } = this.options;
    const names = this.order(this.openQueues).map((number) => queues[number]?.name ?? '');
    return names.length > 0 && (await this.claim(claimant, { queues: names, limit: wanted }, wanted)).size > 0;
  }

  /** @returns true when there may be more. */
  private async fillByHints(claimant: Claimant, wanted: number): Promise<boolean> {
    const { hints, adopt } = this.options;
    const open = this.openQueues;
    const popped: Hint[] = [];
    // A hint that was waited for is alone, unless it came at once.
    const isSoleHint = hints?.hasSole === true;
    const waitedFor = hints?.unused();
    if (waitedFor) popped.push(waitedFor);
    const missing = wanted - popped.length;
    try {
      if (!isSoleHint && missing > 0 && open.length > 0) popped.push(...(await this.pop(this.order(open), missing)));
    } catch {
      // The dispatcher hints again at what Redis has handed out in vain; meanwhile Postgres is asked.
      this.isScanDue = true;
    }
    const isByPriority = this.isPriorityDue;
    if (popped.length === 0 && !isByPriority) return this.isScanDue;
    const ids = popped.flatMap(({ id, record }) => (record === undefined && isUuid(id) ? [id] : []));
    const plain = popped.filter(({ record }) => record !== undefined);
    try {
      // By priority a scan finds these, too. They were taken off all the same, so that the lists stay short.
      const isById = ids.length > 0 && !isByPriority;
      const claimed = isById ? await this.claim(claimant, { ids, isLone: isSoleHint }, ids.length) : new Set();
      if (waitedFor && hints?.ready && !claimed.has(waitedFor.id.toLowerCase())) {
        const record = await hints.readRecord(waitedFor);
        if (record !== undefined) plain.push({ ...waitedFor, record });
      }
      if (plain.length > 0) {
        const adopted = await adopt(plain);
        if (!isByPriority) await this.claim(claimant, { ids: adopted }, adopted.length);
      }
      if (isByPriority) return (await this.claimFirst(claimant, wanted)) || popped.length > 0;
    } catch (thrown) {
      // The jobs of plain producers may have no rows yet.
      if (plain.length > 0) this.options.onReturned(plain);
      throw thrown;
    }
    return !isSoleHint;
  }

  private async pop(order: readonly number[], missing: number): Promise<readonly Hint[]> {
    const popped = (await this.options.hints?.pop(order, missing)) ?? [];
    this.hintsInARow += popped.length;
    if (popped.length === missing) return popped;
    if (this.hintsInARow >= MANY_HINTS) this.isScanDue = true;
    this.hintsInARow = 0;
    return popped;
  }

  private async fillAlone(claimant: Claimant, id: string): Promise<boolean> {
    this.isolationDue = undefined;
    await this.claim(claimant, { ids: [id], includesHeld: true }, 1);
    return true;
  }

  /** Claims jobs and begins them. @returns the ids of those that it found, even if their limits were reached. */
  private async claim(claimant: Claimant, choice: Choice, wanted: number): Promise<ReadonlySet<string>> {
    const { knex, limits, gate } = this.options;
    try {
      // A scan by priority leaves slots for jobs of limits where it is their turn.
      const isExact = 'ids' in choice || this.isPriorityDue;
      const found = await this.find(claimant, choice);
      this.begin(found);
      const claimedIds = new Set(found.map(({ id }) => id));
      if (found.length === wanted && (isExact || performance.now() - this.limitedAt < LIMITED_MS)) return claimedIds;
      this.limitedAt = performance.now();
      // Some count towards a limit, or their queues were paused; the others are gone.
      if ('ids' in choice) gate.forget();
      const rest =
        'ids' in choice
          ? { ids: choice.ids.filter((id) => !claimedIds.has(id)) }
          : { ...choice, limit: Math.max(1, wanted - found.length) };
      const { claimed, held, open: more } = await claimLimited(knex, claimant, rest, limits);
      if (more.length > 0) this.options.admit(more);
      this.begin(claimed);
      return new Set([...claimedIds, ...[...claimed, ...held].map(({ id }) => id)]);
    } catch (thrown) {
      if (isLockTimeout(thrown)) {
        // A scan passes over the row that an open transaction has locked. After that, the dispatcher hints at it again.
        this.isScanDue = true;
        this.isLookDue = true;
        return new Set();
      }
      // Postgres may have carried out the claim all the same, or may do so later.
      const now = performance.now();
      this.releaseUnknownAt = [now, now + LATE_CLAIM_MS];
      this.isScanDue = true;
      throw thrown;
    }
  }

  private async find(claimant: Claimant, choice: Choice): Promise<Delivery[]> {
    const { knex } = this.options;
    if ('ids' in choice || !this.isPriorityDue) return claim(knex, claimant, choice);
    // A notice that comes while this looks counts.
    this.isPriorityDue = false;
    const { claimed, isMore } = await claimByPriority(knex, claimant, choice);
    this.isPriorityDue ||= isMore;
    return claimed;
  }

  private begin(deliveries: readonly Delivery[]): void {
    if (deliveries.length === 0) return;
    const now = performance.now();
    if (now - this.onBegunAt >= BEGUN_MS) {
      this.onBegunAt = now;
      this.options.onBegun();
    }
    this.scanMs = SCAN_MS;
    for (const delivery of deliveries) {
      if (this.isQuiet || this.closed) this.returnUnstarted([delivery]);
      else if (delivery.deliveries >= MAX_DELIVERIES) this.beginAlone(delivery, deliveries.length);
      else if (this.running.size < this.options.concurrency) this.run(delivery);
      else this.ahead.push(delivery);
    }
  }

  private beginAlone(delivery: Delivery, count: number): void {
    if (this.locked.endings.length > 0) {
      this.leave(delivery);
      return;
    }
    if (!this.isAlone || count > 1) {
      this.isolationDue ??= delivery.id;
      this.returnUnstarted([delivery]);
      return;
    }
    this.isolated = delivery.id;
    this.run(delivery);
  }

  /** Has a job that must run alone wait for a while, since it cannot do so as long as outcomes are not in Postgres. */
  private leave(delivery: Delivery): void {
    const outcome: Outcome = { op: 'leave', waitMs: LOCKED_MS };
    this.ended.push({ delivery, outcome, recorded: () => undefined });
    this.schedule();
  }

  /** Returns jobs that do not run here, so that others may run them. */
  private returnUnstarted(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries)
      this.ended.push({ delivery, outcome: { op: 'return' }, recorded: () => undefined });
    if (deliveries.length > 0) this.schedule();
  }

  private run(delivery: Delivery): void {
    const begunAt = performance.now();
    this.running.set(delivery.id, { delivery, begunAt });
    void this.options.perform(delivery).then((result) => {
      this.ahead.ran(performance.now() - begunAt);
      if (this.isolated === delivery.id) this.isolated = undefined;
      // Otherwise it was returned already.
      if (this.running.get(delivery.id)?.delivery === delivery) {
        this.running.delete(delivery.id);
        this.ended.push({ delivery, ...result });
        const next = this.ahead.shift();
        if (next) this.run(next);
      }
      if (!this.waitsForHint) this.isLookDue = true;
      this.schedule();
    });
  }

  /** true: it waits for a hint, so that the end of a job is no reason to look. */
  private get waitsForHint(): boolean {
    const { hints } = this.options;
    return (
      hints?.isWaiting === true &&
      !this.isScanDue &&
      !this.isPriorityDue &&
      hints.ready &&
      this.isolationDue === undefined
    );
  }

  private waitForWork(): void {
    if (this.closed || this.retryTimer) return;
    if (this.ended.length > 0 || (this.isLookDue && this.wanted > 0)) {
      this.schedule();
      return;
    }
    if (this.free === 0 || this.isolationDue !== undefined) return;
    const { hints, gate } = this.options;
    // Otherwise a notification says that a queue is open again.
    const forgetPauses = () => gate.paused.size > 0 && !this.options.isNotified() && gate.forget();
    const onEnd = () => {
      this.progress.confirmedIdle();
      forgetPauses();
      // The slot for this hint may have been filled meanwhile. Then another process may have a free one.
      if (this.free === 0) this.passOnHint();
      else this.wake();
    };
    const open = this.openQueues;
    const isHinted = hints?.ready && !this.isScanDue && gate.origin !== undefined && open.length > 0;
    if (isHinted && hints.wait(open, gate.paused.size > 0, onEnd)) return;
    if (hints || !this.options.isNotified()) this.scanMs = SCAN_MS;
    this.idleTimer ??= setTimeout(
      () => {
        this.idleTimer = undefined;
        forgetPauses();
        this.scanMs = Math.min(MAX_SCAN_MS, this.scanMs * 2);
        this.wake();
      },
      this.scanMs * (0.5 + Math.random() / 2),
    );
  }

  private failed(error: Error): void {
    this.progress.failed(error);
    if (this.closed) return;
    if (this.backoff.attempts === 0) this.options.onError(error);
    this.retryTimer = setTimeout(() => {
      this.retryTimer = undefined;
      this.wake();
    }, this.backoff.next());
  }
}
