import type { ServerResponse } from 'node:http';
import type Koa from 'koa';
import { deferred } from '../support/async';
import { ProblemError } from './problem';
import { answersNow, itsTurn, onRequestEnd } from './response-end';

export interface LimitOptions {
  /** Requests in flight at once. */
  readonly maxThreads: number;
  /** Requests that may wait. */
  readonly backlog: number;
  /** How long one may wait, ms. */
  readonly queueTimeoutMs: number;
  /** Called after a slot was taken or given up. */
  readonly onSlots?: () => void;
}

/** What `pumactl stats` says of a worker's threads. */
export interface LimitSnapshot {
  /** Requests in flight (Puma's `busy_threads`). */
  readonly inFlight: number;
  /** Requests waiting for a slot (Puma's `backlog`). */
  readonly waiting: number;
  readonly maxThreads: number;
  /** Free slots. */
  readonly poolCapacity: number;
  /** Most that waited at once since the last snapshot. */
  readonly backlogMax: number;
  /** Requests that were given a slot so far. */
  readonly requestsCount: number;
  /** Requests turned away so far: the backlog was full, or the wait too long. */
  readonly shedCount: number;
}

export interface RequestInFlight {
  readonly method: string;
  readonly path: string;
  readonly requestId: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** How asking for a slot ended. `gone`: the caller left while waiting. */
export type Admission =
  | { readonly outcome: 'admitted'; readonly release: () => void }
  | { readonly outcome: 'full' | 'timeout' | 'gone' };

interface Waiting {
  readonly response: ServerResponse;
  readonly request: RequestInFlight;
  readonly settle: (admission: Admission) => void;
}

/**
 * Puma's thread pool without the threads: at most `maxThreads` requests in flight, the rest wait in order of arrival,
 * at most `backlog` of them, none longer than `queueTimeoutMs`. A slot is held until its response has been sent or its
 * connection has closed, or until it is released by hand; and comes back once.
 */
export class ConcurrencyLimiter {
  private readonly running = new Set<RequestInFlight>();
  /** In order of arrival; a set, so that leaving from the middle is cheap. */
  private readonly queue = new Set<Waiting>();
  private backlogMax = 0;
  private requestsCount = 0;
  private shedCount = 0;

  /** @param onBegin called for each request that gets a slot, before anything else is done for it. */
  constructor(
    private readonly options: LimitOptions,
    private readonly onBegin: (request: RequestInFlight) => void = () => undefined,
  ) {}

  /** A slot, at once or after a wait; `response` holds it until its end. */
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

  /** Counts as of now. Its maxima begin anew with each call, as Puma's do: let one reader call it. */
  snapshot(): LimitSnapshot {
    const backlogMax = this.backlogMax;
    this.backlogMax = this.queue.size;
    return {
      inFlight: this.running.size,
      waiting: this.queue.size,
      maxThreads: this.options.maxThreads,
      poolCapacity: Math.max(0, this.options.maxThreads - this.running.size),
      backlogMax,
      requestsCount: this.requestsCount,
      shedCount: this.shedCount,
    };
  }

  /** Whether whoever comes now has to wait. */
  get full(): boolean {
    return !this.hasRoom();
  }

  private hasRoom(): boolean {
    return this.running.size < this.options.maxThreads;
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
 * Lets a request through once it has a slot; turns it away with 503 when it cannot have one in time. One that was
 * pipelined asks for its slot when those before it on its connection are answered: until then it could only hold one,
 * since nothing of its answer can be sent, and those before it might wait for that very slot.
 */
export function limitConcurrency(limit: ConcurrencyLimiter): Koa.Middleware {
  return function limitRequests(ctx, next) {
    return answersNow(ctx.res) ? enter(ctx, next) : enterInTurn(ctx, next);
  };

  async function enterInTurn(ctx: Koa.Context, next: Koa.Next): Promise<unknown> {
    return (await itsTurn(ctx.res)) === 'gone' ? undefined : enter(ctx, next);
  }

  function enter(ctx: Koa.Context, next: Koa.Next): Promise<unknown> | undefined {
    const { method, path, requestId } = ctx;
    const admission = limit.enter({ method, path, requestId, startedAt: Date.now() }, ctx.res);
    // Mostly there is room, and nothing to wait for.
    return admission instanceof Promise ? wait(ctx, admission, next) : goOn(ctx, admission, next);
  }
}

async function wait(ctx: Koa.Context, turn: Promise<Admission>, next: Koa.Next): Promise<unknown> {
  const askedAt = performance.now();
  const admission = await turn;
  ctx.queuedMs = performance.now() - askedAt;
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
