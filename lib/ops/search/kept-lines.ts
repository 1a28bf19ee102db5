import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

export interface KeptLine {
  readonly id: string;
  readonly at: Date;
  readonly level: string;
  /** The process: `web.0`, `jobs`. */
  readonly process: string;
  readonly message: string;
  readonly requestId: string | null;
  readonly jobId: string | null;
  /** Time of all its statements, ms, and their number; null for lines that are not the end of a request. */
  readonly sql: { readonly ms: number; readonly count: number } | null;
  /** Name, message and frames of its error. */
  readonly stack: string | null;
}

/** Requests that failed in the same way. */
export interface FailedRequests {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** null when it was answered so without an error, such as one that was shed. */
  readonly error: string | null;
  readonly count: number;
  readonly lastAt: Date;
  readonly lastRequestId: string;
}

interface Row {
  readonly id: string;
  readonly at: Date;
  readonly level: string;
  readonly line: string;
  readonly request_id: string | null;
  readonly job_id: string | null;
}

const MAX_STORY = 500;
/** Lines that a search for words reads, the newest, and failed requests that are counted. */
const MAX_SEARCHED = 5000;
const MAX_FAILED = 500;
const COLUMNS = 'id, at, level, line, request_id, job_id';

/** Reads the lines that `LogKeeper` has written. @throws errors of Postgres from each of its functions. */
export class KeptLines {
  constructor(private readonly knex: Knex) {}

  /** Lines of one request, or one job, in order; of a job with the lines of its request. */
  async story(id: string): Promise<KeptLine[]> {
    const { rows } = await this.knex.raw<{ rows: Row[] }>(
      `select ${COLUMNS} from ${TABLES.log}
       where request_id = ? or job_id = ?
         or request_id = any(array(select request_id from ${TABLES.log} where job_id = ? and request_id is not null))
       order by at, id limit ${MAX_STORY}`,
      [id, id, id],
    );
    return rows.map(readLine);
  }

  /** The newest lines that contain a text, whatever its case, of the last 5,000. */
  async matching(text: string, limit: number): Promise<KeptLine[]> {
    const { rows } = await this.knex.raw<{ rows: Row[] }>(
      `select ${COLUMNS} from (select * from ${TABLES.log} order by id desc limit ${MAX_SEARCHED}) as newest
       where strpos(lower(line), lower(?)) > 0 order by id desc limit ?`,
      [JSON.stringify(text).slice(1, -1), limit],
    );
    return rows.map(readLine);
  }

  /** Requests that were answered with 5xx, by what they asked for and how they failed; the latest first; of the last 500. */
  async failedRequests(limit: number): Promise<FailedRequests[]> {
    const { rows } = await this.knex.raw<{ rows: FailedRequests[] }>(
      `with failed as (
         select id, at, request_id, status, line::json ->> 'method' as method, line::json ->> 'path' as path,
           (select other.line::json -> 'err' ->> 'message' from ${TABLES.log} other
            where other.request_id = log.request_id and other.status is null and other.level = 'error' limit 1) as error
         from ${TABLES.log} log where status >= 500 order by id desc limit ${MAX_FAILED})
       select method, path, status, error, count(*)::int as count, max(at) as "lastAt",
         (array_agg(request_id order by id desc))[1] as "lastRequestId"
       from failed group by method, path, status, error order by max(id) desc limit ?`,
      [limit],
    );
    return rows;
  }
}

function readLine({ id, at, level, line, request_id, job_id }: Row): KeptLine {
  const fields = parse(line);
  const { msg, process, sqlMs, sqlCount } = fields;
  const { stack } = Object(fields.err) as { readonly stack?: unknown };
  return {
    id,
    at,
    level,
    process: String(process ?? ''),
    message: String(msg ?? line),
    requestId: request_id,
    jobId: job_id,
    sql: typeof sqlMs === 'number' ? { ms: sqlMs, count: Number(sqlCount) } : null,
    stack: typeof stack === 'string' ? stack : null,
  };
}

/** A line that was cut is no JSON. */
function parse(line: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}
