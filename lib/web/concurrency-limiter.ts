import type { ServerResponse } from 'node:http';
import type Koa from 'koa';
import { deferred } from '../support/deferred';
import { ProblemError } from './context';
import { answersNow, itsTurn, onRequestEnd } from './request-end';

export interface LimiterOptions {
  /** Maximum number of requests in flight: MAX_THREADS, 5 by default. */
  readonly maxThreads: number;
  /** Maximum number of requests waiting for a slot, above which a request is shed: WEB_BACKLOG, 512 by default. */
  readonly backlog: number;
  /** Maximum wait of one request, after which it is shed, ms: WEB_QUEUE_TIMEOUT, 10 s by default. */
  readonly queueTimeoutMs: number;
  /** Called after a slot has been taken or released. */
  readonly onSlots?: () => void;
}

/** The counts that `pumactl stats` shows of a worker's threads. */
export interface LimitSnapshot {
  /** Requests in flight (Puma's `busy_threads`). */
  readonly inFlight: number;
  /** Requests waiting for a slot (Puma's `backlog`). */
  readonly waiting: number;
  readonly maxThreads: number;
  readonly poolCapacity: number;
  /** Maximum number of waiting requests since the last snapshot. */
  readonly backlogMax: number;
  readonly requestsCount: number;
  /** Requests shed so far, because the backlog was full or the wait too long. */
  readonly shedCount: number;
}

export interface RequestInFlight {
  readonly method: string;
  readonly path: string;
  readonly requestId: string;
  /** ms since 1970. */
  readonly startedAt: number;
}

/** The result of a request for a slot. `gone`: the client disconnected while waiting. */
export type Admission =
  | { readonly outcome: 'admitted'; readonly release: () => void }
  | { readonly outcome: 'full' | 'timeout' | 'gone' };

interface Waiting {
  readonly response: ServerResponse;
  readonly request: RequestInFlight;
  readonly settle: (admission: Admission) => void;
}

/**
 * Puma's thread pool without the threads. At most `maxThreads` requests are in flight. At most `backlog` wait in order of
 * arrival, each for at most `queueTimeoutMs`. A slot is held until its response has been sent, its connection has closed, or it
 * is released explicitly. Releasing it again does nothing.
 */
export class ConcurrencyLimiter {
  private readonly running = new Set<RequestInFlight>();
  /** In order of arrival. A set makes it cheap to remove a request from the middle. */
  private readonly queue = new Set<Waiting>();
  private backlogMax = 0;
  private requestsCount = 0;
  private shedCount = 0;
  private maxThreads: number;

  /** @param onBegin called for each request that gets a slot, before anything else is done for it. */
  constructor(
    private readonly options: LimiterOptions,
    private readonly onBegin: (request: RequestInFlight) => void = () => undefined,
  ) {
    this.maxThreads = options.maxThreads;
  }

  /** From now on so many requests may be in flight. Those above it finish. */
  setMaxThreads(count: number): void {
    this.maxThreads = count;
    this.admitWaiting();
    this.options.onSlots?.();
  }

  /** Requests a slot, which is given at once or after a wait, and held until `response` ends. */
  enter(request: RequestInFlight, response: ServerResponse): Admission | Promise<Admission> {
    if (this.hasRoom()) return this.admit(request, response);
    if (this.queue.size >= this.options.backlog) {
      this.shedCount++;
      return { outcome: 'full' };
    }
    return this.wait(request, response);
  }

  inFlight(): readonly RequestInFlight[] {
    return [...this.running];
  }

  /** The current counts. Each call resets the maximum, as in Puma, so there should be one reader. */
  snapshot(): LimitSnapshot {
    const backlogMax = this.backlogMax;
    this.backlogMax = this.queue.size;
    return {
      inFlight: this.running.size,
      waiting: this.queue.size,
      maxThreads: this.maxThreads,
      poolCapacity: Math.max(0, this.maxThreads - this.running.size),
      backlogMax,
      requestsCount: this.requestsCount,
      shedCount: this.shedCount,
    };
  }

  /** true while all slots are in use, so that the next request has to wait. */
  get saturated(): boolean {
    return !this.hasRoom();
  }

  private hasRoom(): boolean {
    return this.running.size < this.maxThreads;
  }

  private admit(request: RequestInFlight, response: ServerResponse): Admission {
    this.running.add(request);
    this.requestsCount++;
    this.onBegin(request);
    this.options.onSlots?.();
    const release = () => {
      forget();
      if (!this.running.delete(request)) return;
      this.admitWaiting();
      this.options.onSlots?.();
    };
    const forget = onRequestEnd(response, release);
    return { outcome: 'admitted', release };
  }

  private async wait(request: RequestInFlight, response: ServerResponse): Promise<Admission> {
    const settled = deferred<Admission>();
    const entry: Waiting = { response, request, settle: settled.resolve };
    this.queue.add(entry);
    this.backlogMax = Math.max(this.backlogMax, this.queue.size);
    const leave = (outcome: 'timeout' | 'gone') => {
      if (this.queue.delete(entry)) entry.settle({ outcome });
    };
    const timer = setTimeout(() => leave('timeout'), this.options.queueTimeoutMs);
    const forget = onRequestEnd(response, () => leave('gone'));
    const admission = await settled.promise;
    clearTimeout(timer);
    forget();
    if (admission.outcome === 'timeout') this.shedCount++;
    return admission;
  }

  private admitWaiting(): void {
    for (const entry of this.queue) {
      if (!this.hasRoom()) return;
      this.queue.delete(entry);
      entry.settle(this.admit(entry.request, entry.response));
    }
  }
}

const REASONS = {
  full: 'Too many requests are waiting.',
  timeout: 'The request waited too long for its turn.',
} as const;

/**
 * Lets a request through once it has a slot, and sheds it with 503 if it cannot get one in time. A pipelined request
 * queues for a slot only after the requests before it on its connection have been answered. Its response could not be
 * sent any earlier, and those requests might be waiting for the very slot that it held.
 */
export function limitConcurrency(limiter: ConcurrencyLimiter): Koa.Middleware {
  return function limitRequests(ctx, next) {
    return answersNow(ctx.res) ? enter(ctx, next) : enterInTurn(ctx, next);
  };

  async function enterInTurn(ctx: Koa.Context, next: Koa.Next): Promise<unknown> {
    return (await itsTurn(ctx.res)) === 'gone' ? undefined : enter(ctx, next);
  }

  function enter(ctx: Koa.Context, next: Koa.Next): Promise<unknown> | undefined {
    const { method, path, requestId } = ctx;
    const admission = limiter.enter({ method, path, requestId, startedAt: Date.now() }, ctx.res);
    // Usually a slot is free, so nothing is awaited.
    return admission instanceof Promise ? wait(ctx, admission, next) : goOn(ctx, admission, next);
  }
}

async function wait(ctx: Koa.Context, turn: Promise<Admission>, next: Koa.Next): Promise<unknown> {
  const queuedAt = performance.now();
  const admission = await turn;
  ctx.queuedMs = performance.now() - queuedAt;
  return goOn(ctx, admission, next);
}

function goOn(ctx: Koa.Context, admission: Admission, next: Koa.Next): Promise<unknown> | undefined {
  if (admission.outcome === 'gone') return undefined;
  if (admission.outcome === 'admitted') {
    ctx.releaseSlot = admission.release;
    return next();
  }
  ctx.shedReason = admission.outcome;
  throw new ProblemError(503, { detail: REASONS[admission.outcome], headers: { 'Retry-After': '2' } });
}
