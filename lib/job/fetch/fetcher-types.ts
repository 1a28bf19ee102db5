import type { WorkerQueue } from '../../internals/bee-queue';
import type { BeeConnection } from './consumer';
import type { ClassLimits, Delivery, Outcome } from './fetch-call';

/** The result of one delivered job. */
export interface ExecutionResult {
  readonly outcome: Outcome;
  /** Called once Redis has the outcome; false: it was void, since the job belongs to another delivery by now. */
  readonly recorded: (applied: boolean) => void;
}

/** A delivery that has ended here, before Redis knows. */
export interface Ending extends ExecutionResult {
  readonly delivery: Delivery;
}

export interface FetcherOptions {
  readonly queues: readonly WorkerQueue[];
  readonly command: BeeConnection;
  /** Jobs running at once, over all queues. */
  readonly budget: number;
  readonly order: FetchOrder;
  readonly limits: ClassLimits;
  /** Prefix of its tokens, unique among all fetchers ever. Default: random. */
  readonly identity?: string | undefined;
  /** Runs one delivered job. It must never reject. */
  readonly handler: (delivery: Delivery) => Promise<ExecutionResult>;
  /** Called for the first lost call in a row only. */
  readonly onError: (error: Error) => void;
}

/** @returns the queues to try, by number, for each of `wanted` jobs; a single order stands for all of them. */
export type FetchOrder = (queues: readonly number[], wanted: number) => readonly (readonly number[])[];
