import fs from 'node:fs';
import path from 'node:path';
import { type CliEnd, runNode } from '../cli/cli-process';
import { buildFixtureApp } from '../support/fixture-app';
import type { TestDatabase } from '../support/postgres';
import type { TestRedis } from '../support/redis';
import { type SuiteOptions, useInSuite } from '../support/suite';
import type { Tree, TreeOptions } from '../support/tree';
import { Deployment } from './deployment';

/** A line that a job of `test/fixtures/jobs-app` writes. */
export interface Entry {
  /** Pid of the processor that ran the job. */
  readonly pid: number;
  readonly number?: number;
  /** The id of a job that computes without end. */
  readonly spins?: string;
  readonly long?: string;
  readonly attempt?: number;
  /** The kind of error that the job leaves uncaught. */
  readonly stray?: string;
  readonly neighbour?: 'begins' | 'ends';
  readonly deliveries?: number;
  /** The time it was due, as ISO 8601. */
  readonly tick?: string;
  /** The key of a job that waits for its signal. */
  readonly watches?: string;
  /** When that signal was aborted, ms. */
  readonly aborted?: number;
  /** The id of the job of a tick, of a callback or of one that waits for its signal. */
  readonly job?: string;
  readonly callback?: string;
  /** The batch of a callback, as it stood. */
  readonly batch?: object;
}

/** Trees of one app on one database and one Redis, and the file that all their jobs write to. */
export class JobsApp {
  private readonly deployment = new Deployment();
  private entry = '';

  async open(): Promise<void> {
    [this.entry] = await Promise.all([buildFixtureApp('jobs-app'), this.deployment.open()]);
  }

  /** Starts a tree, and waits until it runs jobs. */
  async start(env: Readonly<Record<string, string>> = {}, options: Pick<TreeOptions, 'via'> = {}): Promise<Tree> {
    const tree = await this.deployment.start({
      ...options,
      entry: this.entry,
      env: { WEB_CONCURRENCY: '1', JOBS_RECORD: this.record, ...env },
    });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    return tree;
  }

  get database(): TestDatabase {
    return this.deployment.database;
  }

  get redis(): TestRedis {
    return this.deployment.redis;
  }

  /** Runs a command of the app, as on a console beside its trees. */
  type(...words: readonly string[]): Promise<CliEnd> {
    const env = { ...this.deployment.env, JOBS_RECORD: this.record };
    return runNode(path.dirname(this.entry), [this.entry, ...words], env);
  }

  entries(): Entry[] {
    if (!fs.existsSync(this.record)) return [];
    const lines = fs.readFileSync(this.record, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Entry);
  }

  /** All runs of long jobs, in order. */
  longs(): Entry[] {
    return this.entries().filter((entry) => entry.long !== undefined);
  }

  /** Classes of the jobs that have no outcome yet, except for ticks. */
  async unfinished(): Promise<string[]> {
    const rows = await this.deployment.database.query<{ class: string }>(
      `select class from job_queue where class <> 'TickJob'`,
    );
    return rows.map((row) => row.class);
  }

  /** The connections to Postgres of all its trees. */
  async connections(): Promise<number> {
    const [row] = await this.deployment.database.query<{ count: number }>(
      `select count(*)::int from pg_stat_activity
       where datname = current_database() and application_name = 'catamount' and pid <> pg_backend_pid()`,
    );
    return row?.count ?? 0;
  }

  remove(): Promise<void> {
    return this.deployment.remove();
  }

  private get record(): string {
    return path.join(this.deployment.folder, 'record');
  }
}

/** That app for the tests of a suite. */
export function useJobsApp(options: SuiteOptions = {}): JobsApp {
  return useInSuite(new JobsApp(), options);
}
