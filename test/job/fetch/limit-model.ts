import assert from 'node:assert/strict';
import type { Redis } from '../../../lib/core/redis';
import type { BeeConnection } from '../../../lib/job/fetch/consumer';
import { ClassLimits, type Delivery, type Outcome } from '../../../lib/job/fetch/fetch-call';
import { rescueOrphans } from '../../../lib/job/processes/rescue';
import { dispatch } from '../../../lib/job/queue/dispatch';
import { newRecord } from '../../../lib/job/record/record';
import { HandmadeProcess } from './handmade-process';

export const QUEUES = ['default', 'mailer'];
export const LIMITS: Readonly<Record<string, number>> = { OneJob: 1, TwoJob: 2 };
export const CLASSES = [...Object.keys(LIMITS), 'FreeJob'];

interface Process {
  self: HandmadeProcess;
  calls: number;
  lost: string[];
  readonly running: Delivery[];
}

/** Processors whose calls of the fetch script a test makes, and the invariants of limits that must hold whatever they do. */
export class LimitModel {
  readonly processes: Process[];
  /** Ids of jobs that must end once each. */
  readonly expected = new Set<string>();
  readonly removed = new Set<string>();
  /** Fences of deliveries that were taken for stalled: their jobs may run twice at once, limit or not. */
  private readonly stalled = new Set<string>();
  readonly ended: string[] = [];
  private readonly classLimits: ClassLimits;
  private births = 0;
  private enqueued = 0;

  constructor(
    private readonly redis: Redis,
    private readonly command: BeeConnection,
    count: number,
    private readonly limits: Readonly<Record<string, number>> = LIMITS,
  ) {
    this.classLimits = new ClassLimits(Object.entries(limits).map(([name, concurrency]) => ({ name, concurrency })));
    this.processes = Array.from({ length: count }, () => this.newborn());
  }

  async enqueue(jobClass: string, queue: string): Promise<string> {
    const id = `job-${++this.enqueued}`;
    const record = newRecord(JSON.stringify({ v: 1, class: jobClass, args: [], via: 'redis', attrs: {} }));
    await dispatch(this.redis.client, [{ id, queue, record }]);
    this.expected.add(id);
    return id;
  }

  /** @param lose whether the reply is lost: its jobs do not run, and the next call says so. */
  async call(process: Process, wanted: number, ends: readonly Outcome['op'][] = [], lose = false): Promise<Delivery[]> {
    const endings = process.running.splice(0, ends.length);
    const { token, applied, fetched } = await process.self.call({
      wanted,
      lost: process.lost,
      running: process.running,
      upkeep: ++process.calls % 3 === 0,
      ends: endings.map((delivery, index) => ({ delivery, outcome: outcomeOf(ends[index] ?? 'discard', delivery) })),
    });
    process.lost = lose ? [token] : [];
    endings.forEach((delivery, index) => {
      if (applied[index] && ends[index] === 'discard') this.ended.push(delivery.id);
    });
    if (!lose) process.running.push(...fetched);
    this.checkLimits();
    return fetched;
  }

  /** The process is killed, and its successor rescues its jobs. */
  async die(process: Process): Promise<void> {
    const dead = process.self.identity;
    Object.assign(process, this.newborn());
    process.running.length = 0;
    await rescueOrphans(this.redis.client, dead, QUEUES);
  }

  /** The event loop of the process is blocked for so long that bee-queue's stall check gives its jobs to others. */
  async stall(process: Process): Promise<void> {
    for (const { id, queue, fence } of process.running) {
      const { client } = this.redis;
      this.stalled.add(fence);
      if ((await client.lRem(`bq:${queue}:active`, 0, id)) === 0) continue;
      await client.lPush(`bq:${queue}:waiting`, id);
      // Another process that has the job by now loses it as well: the check knows jobs, not deliveries.
      for (const { running } of this.processes)
        for (const other of running) if (other.id === id && other.queue === queue) this.stalled.add(other.fence);
    }
  }

  /** Removes a job that is not running, as bee-queue's `removeJob` does. */
  async remove(id: string): Promise<void> {
    if (this.processes.some((process) => process.running.some((job) => job.id === id))) return;
    for (const queue of QUEUES) {
      const prefix = `bq:${queue}:`;
      const { client } = this.redis;
      await Promise.all([
        client.lRem(`${prefix}waiting`, 0, id),
        client.lRem(`${prefix}active`, 0, id),
        client.hDel(`${prefix}jobs`, id),
      ]);
    }
    if (this.expected.has(id) && !this.ended.includes(id)) this.removed.add(id);
    if (this.removed.has(id)) this.expected.delete(id);
  }

  /** Runs jobs in all processes until there are none left. */
  async drain(): Promise<void> {
    for (let idle = 0, round = 0; idle < 3; round++) {
      assert.ok(round < 1000, 'a job is stranded, or goes round and round');
      let moved = 0;
      for (const process of this.processes) {
        moved += process.running.length;
        moved += (
          await this.call(
            process,
            3,
            process.running.map(() => 'discard' as const),
          )
        ).length;
      }
      idle = moved === 0 ? idle + 1 : 0;
    }
  }

  private checkLimits(): void {
    for (const [jobClass, limit] of Object.entries(this.limits)) {
      const running = this.processes
        .flatMap((process) => process.running)
        .filter((job) => job.limitedClass === jobClass && !this.stalled.has(job.fence));
      assert.ok(running.length <= limit, `${running.length} of ${jobClass} run`);
    }
  }

  private newborn(): Process {
    const self = new HandmadeProcess(this.command, `process-${++this.births}`, QUEUES, this.classLimits);
    return { self, calls: 0, lost: [], running: [] };
  }
}

function outcomeOf(op: Outcome['op'], { record }: Delivery): Outcome {
  if (op === 'retry') return { op, record, dueAt: 0 };
  if (op === 'leave') return { op, dueAt: 0 };
  if (op === 'dead') return { op, record, markers: '' };
  return op === 'release' ? { op } : { op, markers: '' };
}
