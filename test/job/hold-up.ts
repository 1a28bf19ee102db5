import type { TestDatabase } from '../support/postgres';

const MARK = 'held up';

/** The sessions whose statements are held up. */
export const HELD_UP = `select pid from pg_stat_activity where datname = current_database() and application_name = '${MARK}'`;

/**
 * Holds up the statements that claim a job, or delete it, by a trigger: for a locked row they wait briefly only.
 * @returns a function that lets them go on.
 */
export async function holdUp(
  { query }: TestDatabase,
  when: 'claim' | 'delete',
  jobId: string,
): Promise<() => Promise<void>> {
  await query(`create table held_up as select '${jobId}'::uuid as id`);
  await query(`
    create function hold_up() returns trigger language plpgsql as $$
    begin
      -- Until the transaction ends.
      if exists (select from held_up where id = old.id) then perform set_config('application_name', '${MARK}', true); end if;
      while exists (select from held_up where id = old.id) loop perform pg_sleep(0.02); end loop;
      return coalesce(new, old);
    end $$`);
  const [event, condition] = when === 'claim' ? ['update', `when (new.state = 'running')`] : ['delete', ''];
  await query(
    `create trigger hold_up before ${event} on job_queue for each row ${condition} execute function hold_up()`,
  );
  return async () => {
    await query('delete from held_up');
    await query('drop function hold_up cascade');
    await query('drop table held_up');
  };
}
