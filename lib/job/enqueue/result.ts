import { NotConnectedError } from '../../core/errors';
import { currentTransaction } from '../../model/transaction';
import { chunks } from '../../support/chunks';
import { formatDuration, parseDuration } from '../../support/duration';
import { toError } from '../../support/to-error';
import { JobResultError, type NoResult } from '../definition/errors';
import type { ResultOptions } from '../definition/job-class';
import { decodeResult, readEnding } from '../record/ending';
import type { EndedJob } from '../row/finished';
import { connection, jobEquipment } from './connection';

/** How long a result is awaited by default, ms. Routers in front of the web wait for as long. */
const TIMEOUT_MS = 30_000;
/** First and longest pause between two looks, ms, and its growth while nobody else begins to wait. */
const LOOK_MS = 20;
const MAX_LOOK_MS = 500;
const GROWTH = 1.5;
/** Ids in one statement. */
const LIMITS = { bytes: Number.POSITIVE_INFINITY, count: 1000 };

interface Waiter {
  readonly id: string;
  readonly settle: (ended: EndedJob | undefined) => void;
  readonly fail: (error: Error) => void;
}

/**
 * The waiters of this process. One statement looks for the jobs of all of them, by their ids, so that waiting needs no
 * connection of its own, and nothing in the process that runs the job.
 */
const waiters = new Set<Waiter>();
let isNew = false;
let isLooking = false;
/** Ends the pause before the next look. */
let wake = (): void => undefined;
/** The error of the last look; undefined if it had none. */
let lookError: Error | undefined;

/**
 * Waits for the end of a job. @param caller named in errors.
 * @throws as `JobHandle.result`; NotConnectedError before boot.
 */
export async function awaitResult(caller: string, id: string, { timeout }: ResultOptions = {}): Promise<unknown> {
  const timeoutMs = timeout === undefined ? TIMEOUT_MS : parseDuration(timeout);
  if (timeoutMs === undefined)
    throw new TypeError(`${caller}: timeout is ${JSON.stringify(timeout)}; give a length of time such as '10s'`);
  connection(caller);
  if (currentTransaction())
    throw new TypeError(`${caller} was called in a transaction, for whose commit the job may wait: call it after it`);
  const ended = await new Promise<EndedJob | undefined>((resolve, reject) => {
    const waiter: Waiter = { id: id.toLowerCase(), settle: resolve, fail: reject };
    const timer = setTimeout(() => {
      waiters.delete(waiter);
      const why = lookError ? `: ${lookError.message}` : '';
      const message = `the job ${id} has not ended within ${formatDuration(timeoutMs)}${why}`;
      reject(new JobResultError(id, 'timeout', message, lookError && { cause: lookError }));
    }, timeoutMs);
    const stop =
      <A>(then: (argument: A) => void) =>
      (argument: A) => {
        clearTimeout(timer);
        waiters.delete(waiter);
        then(argument);
      };
    Object.assign(waiter, { settle: stop(resolve), fail: stop(reject) });
    waiters.add(waiter);
    isNew = true;
    wake();
    if (!isLooking) void look();
  });
  return readResult(id, ended);
}

async function readResult(id: string, ended: EndedJob | undefined): Promise<unknown> {
  const none = (reason: NoResult, why: string) => new JobResultError(id, reason, `the job ${id} has no result: ${why}`);
  if (!ended) throw none('gone', 'it left without one, is no longer kept, or never existed');
  const { state, class: name, ending } = ended;
  if (state === 'dead') throw none('dead', `${name} is dead`);
  const stored = readEnding(ending ?? '');
  if (stored.lost !== undefined) throw none('not kept', stored.lost);
  const { keys, setup, models } = jobEquipment();
  return decodeResult(stored, { serializers: setup?.serializers, models }, { id, class: name, part: 'result', keys });
}

async function look(): Promise<void> {
  isLooking = true;
  for (let pauseMs = LOOK_MS; waiters.size > 0; pauseMs = Math.min(pauseMs * GROWTH, MAX_LOOK_MS)) {
    if (isNew) pauseMs = LOOK_MS;
    isNew = false;
    const some = [...waiters];
    try {
      const { enqueuer } = connection('Job.result');
      for (const chunk of chunks(some, () => 0, LIMITS)) {
        const ended = await enqueuer.endings(chunk.map(({ id }) => id));
        for (const { id, settle } of chunk) if (ended.get(id)?.state !== 'open') settle(ended.get(id));
      }
      lookError = undefined;
    } catch (thrown) {
      // While Postgres is away, as long as they want to wait.
      lookError = toError(thrown);
      if (lookError instanceof NotConnectedError) for (const { fail } of some) fail(lookError);
    }
    if (waiters.size > 0 && !isNew)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pauseMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
  }
  isLooking = false;
}
