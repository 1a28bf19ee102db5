import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Events } from '../../lib/core/events';
import type { Redis } from '../../lib/core/redis';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/async';
import { createProcessor } from './contender/catamount';
import { type FleetMessage, type FleetTask, now } from './fleet-process';
import type { Bench } from './harness/bench';
import { Child } from './harness/processes';

/**
 * The starts of the processors in this process are spread over this time, ms, the longest period of their looks. Otherwise
 * all would look at the same moments, and the number of looks within a measurement would depend on chance.
 */
const STARTS_MS = 30_000;
const PROCESS = path.join(__dirname, 'fleet-process.js');

/** Processors that wait for jobs, each with its dispatcher. */
export interface Processors {
  readonly count: number;
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
  return { children, pickups, count, end };
}

async function listen(child: Child, pickups: number[]): Promise<void> {
  try {
    for (;;) pickups.push(Number(await child.next<FleetMessage>()));
  } catch {
    // The process was killed.
  }
}

/** Processors within this process, since so many processes would not fit on the machine. They share one pool. */
export async function startInProcess(bench: Bench, count: number, redis: Redis): Promise<Processors> {
  const { redisUrl, databaseUrl } = await (await bench.stores()).urls(0);
  const events = new Events();
  const pickups: number[] = [];
  const database = new Database(databaseUrl, { production: false, events, poolMax: 3 });
  const connections = { database, redis, redisUrl, events };
  const processors = Array.from({ length: count }, () =>
    createProcessor(connections, 2, (sentAt) => pickups.push(now() - sentAt)),
  );
  for (const processor of processors) {
    await processor.start();
    await wait(STARTS_MS / count);
  }
  const end = async () => {
    await Promise.all(processors.map((processor) => processor.stop(Deadline.after(5000))));
    await database.stop(Deadline.after(5000));
  };
  return { pickups, count, end };
}
