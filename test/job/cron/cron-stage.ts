import { currentContext } from '../../../lib/core/execution-context';
import { cronEntries } from '../../../lib/job/cron/schedule';
import type { CronOptions, JobClass } from '../../../lib/job/definition/job-class';
import { Job } from '../../../lib/job/job';
import type { JobSystem } from '../job-system';

interface TickRun {
  readonly name: string;
  readonly scheduledFor: unknown;
  readonly args: readonly unknown[];
}

/** Runs of the classes that `recurring` has made. */
export const ran: TickRun[] = [];

/** The ticks that were run, oldest first. */
export const ticksOf = (name: string) =>
  ran
    .filter((run) => run.name === name)
    .map((run) => String(run.scheduledFor))
    .sort();

/** A job class with this `static cron` that records its runs. */
export function recurring(cron: string | CronOptions | readonly CronOptions[], jobName = 'TickJob'): JobClass {
  return class extends Job<[a?: string, b?: number]> {
    static override jobName = jobName;
    static override cron = cron;
    perform(...args: unknown[]): void {
      ran.push({ name: jobName, scheduledFor: currentContext().attributes?.scheduledFor, args });
    }
  };
}

export const EVERY_SECOND = '* * * * * *';

/** The ticks of `@yearly` since 2023-06. Their number can change during a test only on New Year's Eve. */
export const NEW_YEARS = Array.from(
  { length: new Date().getUTCFullYear() - 2023 },
  (_, n) => `${2024 + n}-01-01T00:00:00.000Z`,
);

/** Fills the table as if the last tick of these classes had been settled in the middle of 2023. */
export async function sleptSince2023({ postgres }: JobSystem, ...classes: readonly JobClass[]): Promise<void> {
  for (const { name, jobClass, spec, timeZone, policy } of cronEntries(classes)) {
    await postgres.query(
      `insert into job_cron (name, class, spec, time_zone, catch_up, settled_until)
       values ($1, $2, $3, $4, $5, '2023-06-01')`,
      [name, jobClass.jobName ?? jobClass.name, spec, timeZone, policy],
    );
  }
}
