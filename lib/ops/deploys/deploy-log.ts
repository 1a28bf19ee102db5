import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

/** A release, and what the kept log has of its time: until the next release, and a day at most. */
export interface Deploy {
  readonly release: string;
  /** When its first process began. */
  readonly at: Date;
  /** Lines of errors in an hour, its time counted as ten minutes at least; null where the log is not kept for it any more. */
  readonly errorsPerHour: number | null;
  /** Errors that the log did not have before this release, the most frequent first, each by its latest line. */
  readonly newErrors: readonly { readonly message: string; readonly count: number; readonly example: string | null }[];
}

export interface DeployMark {
  readonly release: string;
  readonly at: Date;
}

const SHOWN = 20;
const MAX_NEW = 5;
/** SQL: a message without what differs from one time to the next. */
const SHAPE = `regexp_replace(message, '[0-9a-f]{8}-[0-9a-f-]{27}|\\d+', '…', 'g')`;
/** SQL: the error that a request ended with has a line of its own, so that the line of its end is none. */
const HAS_ERROR = `exists (select from ${TABLES.log} other
  where other.request_id = entry.request_id and other.status is null and other.level = 'error')`;

/** The releases that have run on this Postgres. @throws errors of Postgres from each of its functions. */
export class DeployLog {
  constructor(private readonly knex: Knex) {}

  async begun(release: string): Promise<void> {
    await this.knex.raw(`insert into ${TABLES.deploys} (release) values (?) on conflict do nothing`, [release]);
  }

  async since(from: Date): Promise<DeployMark[]> {
    const { rows } = await this.knex.raw<{ rows: DeployMark[] }>(
      `select release, at from ${TABLES.deploys} where at >= ? order by at`,
      [from],
    );
    return rows;
  }

  /** The latest releases, newest first, with the errors of their time. */
  async list(): Promise<Deploy[]> {
    const { rows } = await this.knex.raw<{ rows: Deploy[] }>(
      `with deploy as (
         select release, at, lead(at, 1, clock_timestamp()) over (order by at) as until
         from ${TABLES.deploys} order by at desc limit ${SHOWN}),
       -- Each message is taken out of its line, and made a shape, once.
       told as materialized (
         select at, line::json ->> 'msg' as message, coalesce(request_id, job_id) as example
         from ${TABLES.log} entry where level = 'error' and not (status is not null and ${HAS_ERROR})),
       shaped as materialized (select *, ${SHAPE} as shape from told),
       errors as (select *, min(at) over (partition by shape) as first_at from shaped),
       kept as (select min(at) as since from ${TABLES.log})
       select release, at,
         (select case when until > since then
            count(*) / greatest(extract(epoch from until - greatest(deploy.at, since)) / 3600, 1 / 6.0) end
          from errors where errors.at >= deploy.at and errors.at < until)::float8 as "errorsPerHour",
         (select coalesce(json_agg(json_build_object('message', message, 'count', count, 'example', example)), '[]') from (
            select (array_agg(message order by at desc))[1] as message, count(*)::int as count,
              (array_agg(example order by at desc))[1] as example from errors
            where errors.at >= deploy.at and errors.at < until and first_at >= deploy.at and since < deploy.at
            group by shape order by 2 desc, 1 limit ${MAX_NEW}) as fresh) as "newErrors"
       from deploy, kept order by at desc`,
    );
    return rows;
  }
}
