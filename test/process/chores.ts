import fs from 'node:fs';
import path from 'node:path';
import { buildFixtureApp } from '../support/fixture-app';
import type { Tree } from '../support/tree';
import { Surroundings } from './surroundings';

/** A line that a job of `test/fixtures/jobs-app` writes. */
export interface Entry {
  /** Pid of the processor that ran the job. */
  readonly pid: number;
  readonly chore?: number;
  readonly long?: string;
  readonly attempt?: number;
  /** The kind of error that the job leaves uncaught. */
  readonly stray?: string;
  readonly neighbour?: 'begins' | 'ends';
  readonly deliveries?: number;
  /** The time it was due, as ISO 8601. */
  readonly tick?: string;
  /** The id of a tick's job. */
  readonly job?: string;
}

/** Trees of one app on one database and one Redis, and the file that all their jobs write to. */
export class Chores {
  private constructor(
    private readonly around: Surroundings,
    private readonly entry: string,
  ) {}

  static async make(): Promise<Chores> {
    const [around, entry] = await Promise.all([Surroundings.make(), buildFixtureApp('jobs-app')]);
    return new Chores(around, entry);
  }

  start(env: Readonly<Record<string, string>> = {}): Promise<Tree> {
    return this.around.start({ entry: this.entry, env: { WEB_CONCURRENCY: '1', CHORES_BOOK: this.book, ...env } });
  }

  entries(): Entry[] {
    if (!fs.existsSync(this.book)) return [];
    const lines = fs.readFileSync(this.book, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Entry);
  }

  /** All runs of long jobs, in order. */
  longs(): Entry[] {
    return this.entries().filter((entry) => entry.long !== undefined);
  }

  /** Classes of the jobs that have no outcome yet, except for ticks. */
  async unfinished(): Promise<string[]> {
    const rows = await this.around.database.query<{ class: string }>(
      `select class from job_queue where class <> 'TickJob'`,
    );
    return rows.map((row) => row.class);
  }

  remove(): Promise<void> {
    return this.around.remove();
  }

  private get book(): string {
    return path.join(this.around.folder, 'book');
  }
}
