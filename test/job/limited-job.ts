import type { Knex } from 'knex';
import { Job } from '../../lib/job/job';

let connection: Knex | undefined;
let processName = '';

/** Jobs of this process record what they do with this connection, by this name. */
export function connect(knex: Knex, identity: string): void {
  connection = knex;
  processName = identity;
}

/** A job with a limit of two. It records its begin and end in Postgres, in one order for all processes. */
export class LimitedJob extends Job<[n: number]> {
  static override concurrency = 2;

  async perform(n: number): Promise<void> {
    await note('begin', n);
    await note('end', n);
  }
}

export class FreeJob extends Job<[n: number]> {
  async perform(n: number): Promise<void> {
    await note('free', n);
  }
}

export async function createTimeline(knex: Knex): Promise<void> {
  await knex.raw('create table timeline (at bigserial primary key, process text, what text, n int)');
}

/** Records that a process has died. */
export async function noteDeath(knex: Knex, process: string): Promise<void> {
  await knex.raw(`insert into timeline (process, what, n) values (?, 'dead', 0)`, [process]);
}

async function note(what: string, n: number): Promise<void> {
  await connection?.raw('insert into timeline (process, what, n) values (?, ?, ?)', [processName, what, n]);
}

export interface Moment {
  readonly process: string;
  readonly what: 'begin' | 'end' | 'free' | 'dead';
  readonly n: number;
}

export async function timelineOf(knex: Knex): Promise<Moment[]> {
  const { rows } = await knex.raw<{ rows: Moment[] }>('select process, what, n from timeline order by at');
  return rows;
}

/** @returns the greatest number of jobs that ran at once. */
export function mostAtOnce(timeline: readonly Moment[]): number {
  const running = new Map<string, number>();
  let most = 0;
  for (const { process, what } of timeline) {
    if (what === 'dead') running.delete(process);
    if (what === 'begin') running.set(process, (running.get(process) ?? 0) + 1);
    if (what === 'end') running.set(process, (running.get(process) ?? 0) - 1);
    most = Math.max(
      most,
      [...running.values()].reduce((sum, count) => sum + count, 0),
    );
  }
  return most;
}
