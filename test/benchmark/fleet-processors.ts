import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Events } from '../../lib/core/events';
import type { Redis } from '../../lib/core/redis';
import { Consumer } from '../../lib/job/fetch/consumer';
import { ClassLimits } from '../../lib/job/fetch/fetch-call';
import { OutboxService } from '../../lib/job/outbox/service';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/async';
import { type FleetMessage, type FleetTask, now } from './fleet-process';
import type { Bench } from './harness/bench';
import { Child } from './harness/processes';

/** Prefix of the id of a lone job; the time at which it was enqueued follows. */
export const LONE = 'lone-';
/**
 * The starts of the processors in this process are spread over this time, ms, the longest period of their polls. Otherwise
 * all would poll at the same moments, and the number of polls within a measurement would depend on chance.
 */
const STARTS_MS = 30_000;
const PROCESS = path.join(__dirname, 'fleet-process.js');

/** Processors that wait for jobs, with their relays, which poll as usual. */
export interface Processors {
  /** Blocking connections when all of them wait. */
  readonly waiting: number;
  readonly relays: number;
  /** Times from enqueue to `perform` of the jobs so far, ms. */
  readonly pickups: readonly number[];
  /** Ends the processors, with kill -9 if they are processes. */
  end(): Promise<void>;
}

/** Real processes, each with the whole job layer. */
export async function startProcesses(
  bench: Bench,
  count: number,
): Promise<Processors & { readonly children: Child[] }> {
  const task: FleetTask = { stores: await (await bench.stores()).urls(0) };
  const pickups: number[] = [];
  const children = Array.from({ length: count }, () => new Child(PROCESS, task));
  for (const child of children) {
    await child.next<FleetMessage>();
    void listen(child, pickups);
  }
  const end = async () => {
    await Promise.all(children.map((child) => child.kill()));
  };
  return { children, pickups, waiting: 2 * count, relays: count, end };
}

async function listen(child: Child, pickups: number[]): Promise<void> {
  try {
    for (;;) pickups.push(Number(await child.next<FleetMessage>()));
  } catch {
    // The process was killed.
  }
}

/** Processors within this process, since so many processes would not fit on the machine. The relays share one pool. */
export async function startInProcess(bench: Bench, count: number, redis: Redis): Promise<Processors> {
  const { redisUrl, databaseUrl } = await (await bench.stores()).urls(0);
  const events = new Events();
  const pickups: number[] = [];
  const database = new Database(databaseUrl, { production: false, events, poolMax: 3 });
  const consumers = Array.from({ length: count }, () => {
    return new Consumer({
      redisUrl,
      redis,
      queues: [{ name: 'default', weight: 1 }],
      weighted: false,
      budget: 2,
      limits: new ClassLimits(),
      stallInterval: 30_000,
      handler: async ({ id }) => {
        pickups.push(now() - Number(id.slice(LONE.length)));
        return { outcome: { op: 'complete', markers: '' }, recorded: () => undefined };
      },
      onStalled: () => undefined,
      onError: (error) => bench.say(String(error)),
    });
  });
  const outboxes = Array.from({ length: count }, () => {
    return new OutboxService({ database, redis, events, production: false, queues: [], isRunning: () => false });
  });
  for (const [index, consumer] of consumers.entries()) {
    await consumer.start();
    outboxes[index]?.start();
    await wait(STARTS_MS / count);
  }
  const end = async () => {
    for (const consumer of consumers) consumer.close();
    for (const outbox of outboxes) await outbox.stop(Deadline.after(5000));
    await database.stop(Deadline.after(5000));
  };
  return { pickups, waiting: count, relays: count, end };
}
