import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { Deadline } from '../../support/deadline';
import type { Service } from '../../support/service';

/** How long lines are kept, h, and how many of all processes: the oldest go. */
const KEPT = { hours: 24, lines: 20_000 };
/** Lines that one process keeps in a second: beyond them only those of some requests and jobs, and of errors. */
const MAX_A_SECOND = { lines: 40, errors: 200 };
const FLUSH_MS = 1000;
/** Flushes between two looks for old lines, and lines that one look deletes. */
const PRUNE = { every: 20, lines: 5000 };
/** A longer line keeps its message and the beginning of its error's stack, characters. */
const MAX_LENGTH = 8000;
const SUBJECT = /"(?:requestId|jobId)":"([\w.-]{1,128})"/;
const IS_SEVERE = /^\{"level":"(?:error|fatal)"/;
/** Health checks and these pages would be most of what is kept. */
const INTERNAL = '"internal":true';

/**
 * Keeps the lines of this process's log that are about a request or a job, for /ops/search: in Postgres, written once a second.
 * Errors are always kept. In a busy process all lines of some requests and jobs are, the same ones in every process. What cannot
 * be written is dropped, since it is in the log.
 */
export class LogKeeper implements Service {
  readonly name = 'log keeper';
  private lines: string[] = [];
  private errors = 0;
  private seen = 0;
  private flushes = 0;
  /** The share of requests and jobs whose lines are kept. */
  private share = 1;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly knex: Knex) {}

  async start(): Promise<void> {}

  readonly take = (line: string): void => {
    const [, subject] = SUBJECT.exec(line) ?? [];
    if (subject === undefined) return;
    const isSevere = IS_SEVERE.test(line);
    if (!isSevere && line.includes(INTERNAL)) return;
    this.timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
    if (isSevere) {
      if (this.errors++ < MAX_A_SECOND.errors) this.lines.push(line);
      return;
    }
    this.seen++;
    if (shareOf(subject) < this.share && this.lines.length < MAX_A_SECOND.lines + MAX_A_SECOND.errors)
      this.lines.push(line);
  };

  async stop(deadline: Deadline): Promise<void> {
    await deadline.wait(this.flush());
  }

  private async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const lines = this.lines;
    this.share = Math.min(1, MAX_A_SECOND.lines / this.seen, this.share * 2);
    [this.lines, this.errors, this.seen] = [[], 0, 0];
    if (lines.length === 0) return;
    const rows = lines.flatMap(columnsOf);
    const column = <K extends keyof LogColumns>(key: K) => rows.map((row) => row[key]) as unknown as Knex.RawBinding;
    try {
      await this.knex.raw(
        `insert into ${TABLES.log} (at, request_id, job_id, level, status, line)
         select * from unnest(?::timestamptz[], ?::text[], ?::text[], ?::text[], ?::smallint[], ?::text[])`,
        [column('at'), column('requestId'), column('jobId'), column('level'), column('status'), column('line')],
      );
      if (this.flushes++ % PRUNE.every === 0) await this.prune();
    } catch {
      // Postgres is away, or not migrated: others report that.
    }
  }

  private async prune(): Promise<void> {
    await this.knex.raw(
      `delete from ${TABLES.log} where id in (select id from ${TABLES.log} order by id limit ${PRUNE.lines})
         and (at < clock_timestamp() - interval '${KEPT.hours} hours'
           or id <= (select max(id) - ${KEPT.lines} from ${TABLES.log}))`,
    );
  }
}

interface LogColumns {
  readonly at: string;
  readonly requestId: string | null;
  readonly jobId: string | null;
  readonly level: string;
  readonly status: number | null;
  readonly line: string;
}

function columnsOf(text: string): LogColumns[] {
  try {
    const line = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const { time, level, requestId, jobId, status, err } = line;
    const named = (value: unknown) => (typeof value === 'string' ? value : null);
    const isLong = text.length > MAX_LENGTH;
    const { message, stack } = Object(err) as Readonly<Record<string, unknown>>;
    const short = { ...line, attributes: undefined, err: { message, stack: String(stack).slice(0, MAX_LENGTH / 2) } };
    return [
      {
        at: String(time),
        level: String(level),
        requestId: named(requestId),
        jobId: named(jobId),
        status: typeof status === 'number' ? status : null,
        // Postgres's text has no NUL.
        line: (isLong ? JSON.stringify(short).slice(0, 2 * MAX_LENGTH) : text).replaceAll('\\u0000', '').trim(),
      },
    ];
  } catch {
    return [];
  }
}

/** A number from 0 to 1 that is the same for one id in every process (FNV-1a). */
function shareOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
}
