import { setTimeout as wait } from 'node:timers/promises';
import { runTask } from '../harness/task-process';
import { CONTENDERS, type Contender, type ContenderName, type Producer, type StoreUrls } from './contenders';

const BATCH = 1000;
/** Calls in flight at once in the mode `concurrent`. */
const AT_ONCE = 50;

/** The one task of a process. */
export type Task =
  /** Enqueues `count` jobs in batches of BATCH. */
  | { readonly kind: 'fill'; readonly count: number }
  /** Runs jobs that are already enqueued; the first `warmUp` are not measured. `more`: others exist and may run. */
  | {
      readonly kind: 'drain';
      readonly concurrency: number;
      readonly count: number;
      readonly warmUp: number;
      readonly more?: boolean;
    }
  | { readonly kind: 'enqueue'; readonly mode: EnqueueMode; readonly count: number }
  /** Runs jobs whose number is the time at which they were due. */
  | { readonly kind: 'receive'; readonly concurrency: number; readonly count: number }
  /** Enqueues such jobs one by one with pauses, or all at once with a delay. */
  | { readonly kind: 'send'; readonly count: number; readonly laterMs?: number };

export type EnqueueMode = 'single' | 'concurrent' | 'bulk';

export interface Assignment {
  readonly contender: ContenderName;
  readonly stores: StoreUrls;
  readonly task: Task;
}

export interface DrainResult {
  readonly jobsPerSecond: number;
  /** CPU time of the process, user and system, µs per job. */
  readonly cpuUs: number;
  readonly rssMb: number;
}

export interface EnqueueResult {
  readonly jobsPerSecond: number;
  readonly cpuUs: number;
}

/** Lateness of each job, ms. */
export type ReceiveResult = readonly number[];

type Of<K extends Task['kind']> = Extract<Task, { readonly kind: K }>;

function perform(contender: Contender, task: Task): Promise<unknown> {
  switch (task.kind) {
    case 'fill':
      return fill(contender, task);
    case 'drain':
      return drain(contender, task);
    case 'enqueue':
      return enqueue(contender, task);
    case 'receive':
      return receive(contender, task);
    case 'send':
      return send(contender, task);
  }
}

async function fill(contender: Contender, { count }: Of<'fill'>): Promise<number> {
  const producer = await contender.produce();
  await addAll(producer, 'bulk', count);
  await producer.close();
  return count;
}

async function drain(
  contender: Contender,
  { concurrency, count, warmUp, more = false }: Of<'drain'>,
): Promise<DrainResult> {
  let begun = 0;
  let before = process.cpuUsage();
  let result: DrainResult | undefined;
  const runs = await runJobs(contender, concurrency, count, (ran) => {
    if (ran === warmUp) {
      begun = performance.now();
      before = process.cpuUsage();
    } else if (ran === count) {
      const ms = performance.now() - begun;
      const jobs = count - warmUp;
      const { user, system } = process.cpuUsage(before);
      result = { jobsPerSecond: (jobs / ms) * 1000, cpuUs: (user + system) / jobs, rssMb: rssMb() };
    }
  });
  if (!result || (runs !== count && !more)) throw new Error(`${runs} runs of ${count} jobs`);
  return result;
}

/** Stops after `count` runs. @param note is called with the number of runs so far. @returns the number of runs. */
async function runJobs(
  contender: Contender,
  concurrency: number,
  count: number,
  note: (ran: number) => void,
): Promise<number> {
  let ran = 0;
  let done: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  const stop = await contender.work(concurrency, () => {
    note(++ran);
    if (ran === count) done();
  });
  await all;
  await stop();
  return ran;
}

function rssMb(): number {
  return process.memoryUsage.rss() / 2 ** 20;
}

async function enqueue(contender: Contender, { mode, count }: Of<'enqueue'>): Promise<EnqueueResult> {
  const producer = await contender.produce();
  const warmUp = Math.ceil(count / 5);
  await addAll(producer, mode, warmUp);
  const before = process.cpuUsage();
  const begun = performance.now();
  await addAll(producer, mode, count);
  const ms = performance.now() - begun;
  const { user, system } = process.cpuUsage(before);
  await producer.close();
  return { jobsPerSecond: (count / ms) * 1000, cpuUs: (user + system) / count };
}

async function addAll(producer: Producer, mode: EnqueueMode, count: number): Promise<void> {
  if (mode === 'bulk') {
    for (let from = 0; from < count; from += BATCH) {
      await producer.addMany(Array.from({ length: Math.min(BATCH, count - from) }, (_, index) => from + index));
    }
    return;
  }
  let next = 0;
  const client = async () => {
    while (next < count) await producer.add(next++);
  };
  await Promise.all(Array.from({ length: mode === 'single' ? 1 : AT_ONCE }, client));
}

async function receive(contender: Contender, { concurrency, count }: Of<'receive'>): Promise<ReceiveResult> {
  const lateness: number[] = [];
  const stop = await new Promise<() => Promise<void>>((resolve, reject) => {
    const stopping = contender.work(concurrency, (due) => {
      lateness.push(now() - due);
      if (lateness.length === count) stopping.then(resolve, reject);
    });
    stopping.then(() => process.send?.('working'), reject);
  });
  await stop();
  return lateness;
}

async function send(contender: Contender, { count, laterMs }: Of<'send'>): Promise<number> {
  const producer = await contender.produce();
  if (laterMs === undefined) {
    for (let n = 0; n < count; n++) {
      // Long enough for the worker to be idle again, and random, so as not to be in step with any timer.
      await wait(10 + Math.random() * 15);
      await producer.add(now());
    }
  } else {
    const delays = Array.from({ length: count }, () => laterMs * (1 + Math.random()));
    await Promise.all(delays.map((ms) => producer.addLater(now() + ms, ms)));
  }
  await producer.close();
  return count;
}

/** The monotonic clock, which all processes of a machine share, ms. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

runTask(({ contender, stores, task }: Assignment) => perform(CONTENDERS[contender](stores), task));
