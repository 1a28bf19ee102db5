import { setTimeout as wait } from 'node:timers/promises';
import type { Contender, Producer } from './contender';
import { CONTENDERS } from './contenders';
import type { Assignment, DrainResult, EnqueueMode, EnqueueResult, ReceiveResult, Task, WatchResult } from './task';

const BATCH = 1000;
/** Enqueues in flight at once, in `concurrent`. */
const AT_ONCE = 50;

type Of<K extends Task['kind']> = Extract<Task, { readonly kind: K }>;

async function main(): Promise<void> {
  const { contender, stores, task } = JSON.parse(process.argv[2] ?? '{}') as Assignment;
  const result = await perform(CONTENDERS[contender](stores), task);
  await new Promise((sent) => process.send?.(result, sent));
}

function perform(contender: Contender, task: Task): Promise<unknown> {
  switch (task.kind) {
    case 'fill':
      return fill(contender, task);
    case 'drain':
      return drain(contender, task);
    case 'watch':
      return watch(contender, task);
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
  for (let from = 0; from < count; from += BATCH) await producer.addMany(range(from, Math.min(count, from + BATCH)));
  await producer.close();
  return count;
}

async function drain(
  contender: Contender,
  { concurrency, count, warmUp, more = false }: Of<'drain'>,
): Promise<DrainResult> {
  let ran = 0;
  let begun = 0;
  let before = process.cpuUsage();
  let done: (result: DrainResult) => void = () => undefined;
  const result = new Promise<DrainResult>((resolve) => {
    done = resolve;
  });
  const stop = await contender.work(concurrency, () => {
    ran++;
    if (ran === warmUp) {
      begun = performance.now();
      before = process.cpuUsage();
    } else if (ran === count) {
      const ms = performance.now() - begun;
      const jobs = count - warmUp;
      const { user, system } = process.cpuUsage(before);
      const rssMb = process.memoryUsage.rss() / 2 ** 20;
      done({ jobsPerSecond: (jobs / ms) * 1000, cpuUs: (user + system) / jobs, rssMb });
    }
  });
  const measured = await result;
  await stop();
  if (ran !== count && !more) throw new Error(`${ran} runs of ${count} jobs`);
  return measured;
}

async function watch(contender: Contender, { concurrency, count }: Of<'watch'>): Promise<WatchResult> {
  const rssMb: number[] = [];
  const every = Math.ceil(count / 1000);
  const begun = performance.now();
  let ran = 0;
  let done: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  const stop = await contender.work(concurrency, () => {
    if (++ran % every === 0) rssMb.push(process.memoryUsage.rss() / 2 ** 20);
    if (ran === count) done();
  });
  await all;
  const jobsPerSecond = (count / (performance.now() - begun)) * 1000;
  await stop();
  return { jobsPerSecond, rssMb };
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
    for (let from = 0; from < count; from += BATCH) await producer.addMany(range(from, Math.min(count, from + BATCH)));
    return;
  }
  let next = 0;
  const line = async () => {
    while (next < count) await producer.add(next++);
  };
  await Promise.all(Array.from({ length: mode === 'single' ? 1 : AT_ONCE }, line));
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
      // Long enough that whoever works is idle again, and in step with nothing.
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

/** The same clock in all processes of a machine, ms. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exit(1);
  },
);
