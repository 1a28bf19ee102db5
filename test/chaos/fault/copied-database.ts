import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { runNode } from '../../cli/cli-process';
import { Deployment } from '../../process/deployment';
import { until } from '../../support/until';
import { JobLedger } from '../ledger';
import type { Environment } from '../scene/environment';
import { NOTES } from '../scene/postgres';
import type { Fault } from './faults';

const LIMIT = { timeoutMs: 90_000, everyMs: 100 };
/** Long enough for the dispatcher to look several times, ms. */
const LOOKED_MS = 3000;
/** A task id that no client uses. */
const OWN = 0;

/** Staging gets a copy of production's database, with jobs that are due, but has its own Redis. */
export const COPIED_DATABASE: Fault = {
  name: 'database-copied',
  about:
    'a second tree starts on a copy of the database, with its own Redis: it dispatches nothing until an operator adopts the copy',
  async inject(environment) {
    const staging = new Deployment();
    await staging.open();
    try {
      for (let n = 0; n < 5; n++) await environment.traffic.tasks.enqueue('later');
      await staging.database.query(NOTES);
      await copy(environment, staging);
      await check(environment, staging);
    } finally {
      await staging.remove();
    }
  },
};

/** Copies the rows of all tables from one snapshot. */
async function copy({ postgres }: Environment, { database }: Deployment): Promise<void> {
  const source = await postgres.connect('postgres');
  try {
    await source.query('begin isolation level repeatable read');
    const { rows: tables } = await source.query<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = 'public' and tablename not like 'knex_%'",
    );
    for (const { name } of tables) {
      const { rows } = await source.query<{ all: string }>(`select jsonb_agg(to_jsonb(t))::text as all from ${name} t`);
      await database.query(`truncate ${name}`);
      await database.query(
        `insert into ${name} overriding system value select * from jsonb_populate_recordset(null::${name}, $1::jsonb)`,
        [rows[0]?.all ?? '[]'],
      );
    }
  } finally {
    await source.end();
  }
}

async function check({ ledger, platform }: Environment, staging: Deployment): Promise<void> {
  /** Number of jobs, without the recurring ones. */
  const due = async () => (await staging.database.query("select id from job_queue where class <> 'TickJob'")).length;
  const record = new JobLedger(path.join(staging.folder, 'job-ledger'));
  const brought = await due();
  if (brought === 0) ledger.broken.push('the copy of the database has no jobs, so this run proves nothing');
  const env = { WEB_CONCURRENCY: '1', CHAOS_RECORD: record.file };
  const tree = await staging.start({ entry: platform.entry, env });
  await tree.waitForLine(/jobs adopt/);
  // It is accepted, and waits like those of the copy.
  await tree.request('POST', `/tasks/alone?id=${OWN}`);
  await wait(LOOKED_MS);
  const [ran, ticks, mails] = [record.tasks().size, record.ticks().size, staging.sink.messages.length];
  const left = await due();
  if (ran + ticks + mails > 0 || left !== brought + 1)
    ledger.broken.push(
      `a copied database ran ${ran} jobs and ${ticks} ticks and sent ${mails} mails before it was adopted; ${left} of ${brought + 1} jobs were left`,
    );
  await runNode(staging.folder, [platform.entry, 'jobs', 'adopt', '--yes'], { ...staging.env, ...env });
  await until('the jobs of the copy have run', async () => (await due()) === 0, LIMIT);
  const { code } = await tree.stop();
  if (code !== 0) ledger.broken.push(`the tree on the copied database ended with code ${code}`);
}
