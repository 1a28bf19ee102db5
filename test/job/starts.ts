import type { TestDatabase } from '../support/postgres';

/** Records when jobs are claimed. @returns a function that reads the times of a key, ms, in order. */
export async function recordStarts({
  query,
}: Pick<TestDatabase, 'query'>): Promise<(key: string) => Promise<number[]>> {
  await query('create table starts (key text, at timestamptz)');
  await query(`
    create function record_start() returns trigger language plpgsql as $$
    begin
      insert into starts values (new.limit_key, new.claimed_at);
      return new;
    end $$`);
  await query(`
    create trigger record_start before update on job_queue for each row
    when (old.state <> 'running' and new.state = 'running') execute function record_start()`);
  return async (key) => {
    const rows = await query<{ ms: number }>(
      `select extract(epoch from at)::float8 * 1000 as ms from starts where key = '${key}' order by at`,
    );
    return rows.map(({ ms }) => ms);
  };
}
