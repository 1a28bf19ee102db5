import { toError } from '../../support/to-error';
import { notify } from '../hint/notifier';
import { deadByQueue } from '../row/dead';
import { clearQueue } from '../row/moves';
import { pauseQueue, resumeQueue } from '../row/pauses';
import { knownQueues, type QueueStatus, readQueues } from '../row/queue-status';
import { InvalidRequestError, type SetSources } from '../sets/query';

/** Rows per DELETE statement. */
const CHUNK = 1000;

export interface ListedQueue extends QueueStatus {
  /** Number of dead jobs. */
  readonly dead: number;
}

/** Lists, pauses, resumes and clears queues for operators, from any process. */
export class Queues {
  constructor(private readonly sources: SetSources) {}

  /** @returns the queues of the sources, in their order, then all others that have jobs or are served, by name. */
  async names(): Promise<string[]> {
    const { knex, queues } = this.sources;
    const known = await knownQueues(knex, queues);
    const processes = (await this.sources.processes?.().catch(() => [])) ?? [];
    const served = processes.flatMap((process) => process.queues).filter((name) => !queues.includes(name));
    const others = [...known.slice(queues.length), ...served].sort();
    return [...new Set([...queues, ...others])];
  }

  /** Reads the status of queues. @param names Default: all. */
  async list(names?: readonly string[]): Promise<ListedQueue[]> {
    const { knex } = this.sources;
    const statuses = await readQueues(knex, names ?? (await this.names()));
    const dead = await deadByQueue(knex);
    return statuses.map((status) => ({ ...status, dead: dead.get(status.name) ?? 0 }));
  }

  /** Counts the jobs that wait in a queue, blocked ones included. */
  async size(name: string): Promise<number> {
    const [status] = await readQueues(this.sources.knex, [name]);
    return (status?.waiting ?? 0) + (status?.blocked ?? 0);
  }

  /**
   * Pauses a queue: no process starts jobs of it; running jobs go on, and jobs can still be enqueued.
   * @returns false when it is paused already. @throws InvalidRequestError for a queue that does not exist.
   */
  async pause(name: string): Promise<boolean> {
    await this.check(name);
    if (!(await pauseQueue(this.sources.knex, name, this.sources.via))) return false;
    await this.changed('pause', name);
    return true;
  }

  /**
   * Resumes a queue. Idle processors are woken at once.
   * @returns false when it is not paused. @throws InvalidRequestError for a queue that does not exist.
   */
  async resume(name: string): Promise<boolean> {
    await this.check(name);
    if (!(await resumeQueue(this.sources.knex, name))) return false;
    await this.changed('resume', name);
    return true;
  }

  /**
   * Deletes the jobs that wait in a queue, blocked ones included. Running, retry, scheduled and dead jobs stay, and so do those
   * that are enqueued meanwhile.
   * @returns how many jobs were deleted.
   * @throws InvalidRequestError for a queue that does not exist, and errors of Postgres; some jobs may be deleted then.
   */
  async clear(name: string): Promise<number> {
    const { knex } = this.sources;
    await this.check(name);
    const { rows } = await knex.raw<{ rows: { readonly now: string }[] }>('select clock_timestamp()::text as now');
    const [{ now } = { now: '-infinity' }] = rows;
    let jobs = 0;
    try {
      for (let more = true; more; ) {
        const deleted = await clearQueue(knex, name, now, CHUNK);
        jobs += deleted;
        more = deleted === CHUNK;
      }
    } finally {
      // They may have been the last of a batch.
      if (jobs > 0) await notify(knex, 'look').catch(() => undefined);
      this.report('clear', name, jobs);
    }
    return jobs;
  }

  /** Processors that miss the notification find out when they next claim jobs of the queue, or look for some. */
  private async changed(action: 'pause' | 'resume', name: string): Promise<void> {
    this.report(action, name, 0);
    const { knex, events } = this.sources;
    await notify(knex, 'pauses').catch((error: unknown) => {
      events.emit('process.error', { error: toError(error), during: `notifying the job processors of queue ${name}` });
    });
  }

  private report(action: 'pause' | 'resume' | 'clear', queue: string, jobs: number): void {
    const { events, via } = this.sources;
    events.emit('operator.queue', { action, queue, jobs, via });
  }

  private async check(name: string): Promise<void> {
    const { knex, queues } = this.sources;
    // The list of processes, which comes from Redis, may take longer.
    if ((await knownQueues(knex, queues)).includes(name)) return;
    const names = await this.names();
    if (names.includes(name)) return;
    const known = names.length > 0 ? `there are ${names.join(', ')}` : 'there is none yet';
    throw new InvalidRequestError(`there is no queue ${JSON.stringify(name)}: ${known}`);
  }
}
