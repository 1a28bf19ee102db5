import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { ClassStats, COUNTERS, HISTOGRAMS, LATER_COUNTERS, MAIL_OUTCOMES, Outcomes } from './class-stats';
import type { OutcomeCounter } from './collector';
import { LAST_RUNS, type LastRun, newestFirst, readRuns, type StoredRun } from './last-runs';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** How long the counts of minutes and hours are kept, ms. */
const KEPT_MS = { minute: 2 * HOUR_MS, hour: 72 * HOUR_MS };

export type Span = keyof typeof KEPT_MS | 'total';

/** What a statement adds to one row of each span: `counts` are summed up, of `maxima` the greatest are kept. */
interface StatsRow {
  readonly kind: 'job' | 'mail';
  readonly name: string;
  readonly counts: readonly number[];
  readonly maxima: readonly number[];
  /** The last runs, newest first; null for mails. */
  readonly runs: readonly StoredRun[] | null;
}

interface Batch {
  readonly number: number;
  /** ms since 1970. */
  readonly at: number;
  readonly rows: readonly StatsRow[];
}

/**
 * Adds the counts of this process to those of all. A batch that failed is sent again with the same number. By that number
 * Postgres knows a batch that it has counted already.
 */
export class StatsWriter {
  private batch: Batch | undefined;
  private count = 0;

  constructor(
    private readonly knex: Knex,
    private readonly counter: Pick<OutcomeCounter, 'take'>,
    /** Unique among all processes, past ones included. */
    private readonly identity: string,
  ) {}

  /** Makes no statement if there is nothing to count. @throws errors of Postgres; the batch is sent again the next time. */
  async write(now = Date.now()): Promise<void> {
    for (this.batch ??= this.next(now); this.batch; this.batch = this.next(now)) await this.send(this.batch);
  }

  private next(at: number): Batch | undefined {
    const rows = toRows(this.counter.take());
    return rows.length === 0 ? undefined : { number: ++this.count, at, rows };
  }

  /** Locks rows in one order, and leaves those that others delete or add to, so that no two processes wait for each other. */
  private async send({ number, at, rows }: Batch): Promise<void> {
    const periodStart = (spanMs: number) => new Date(at - (at % spanMs));
    await this.knex.raw(
      `with batch as (
         insert into ${TABLES.stats} (span, at, kind, name) values ('minute', ?, 'batch', ?) on conflict do nothing returning at),
       expired as (
         delete from ${TABLES.stats} where ctid = any(array(
           select ctid from ${TABLES.stats} where span = 'minute' and at < ? or span = 'hour' and at < ?
           for update skip locked)))
       insert into ${TABLES.stats} as kept (span, at, kind, name, counts, maxima, runs)
       select period.span, period.at, added.kind, added.name, added.counts, added.maxima, case period.span when 'total' then added.runs end
       from batch, json_to_recordset(?::json) as added (kind text, name text, counts float8[], maxima float8[], runs jsonb),
         (values ('minute', ?::timestamptz), ('hour', ?), ('total', 'epoch')) as period (span, at)
       order by 1, 2, 3, 4
       on conflict (span, at, kind, name) do update set
         counts = array(select coalesce(a, 0) + coalesce(b, 0) from unnest(kept.counts, excluded.counts) as pair (a, b)),
         maxima = array(select greatest(a, b) from unnest(kept.maxima, excluded.maxima) as pair (a, b)),
         runs = (select jsonb_agg(run order by n) from (
           select run, n from jsonb_array_elements(excluded.runs || coalesce(kept.runs, '[]')) with ordinality as newest (run, n)
           limit ${LAST_RUNS}) as last)`,
      [
        ...[new Date(at), `${this.identity} ${number}`],
        ...[new Date(at - KEPT_MS.minute), new Date(at - KEPT_MS.hour)],
        ...[JSON.stringify(rows), periodStart(MINUTE_MS), periodStart(HOUR_MS)],
      ],
    );
  }
}

/** Sums up the periods that begin at `from` or later. @throws errors of Postgres. */
export async function readStats(knex: Knex, span: Span, from: Date): Promise<Outcomes> {
  const { rows } = await knex.raw<{ rows: Omit<StatsRow, 'runs'>[] }>(
    `select kind, name, counts, maxima from ${TABLES.stats} where span = ? and at >= ? and kind in ('job', 'mail')`,
    [span, from],
  );
  const outcomes = new Outcomes();
  for (const row of rows) addRow(outcomes, row);
  return outcomes;
}

/** The last runs of a class in all processes, newest first; none while it has not run. @throws errors of Postgres. */
export async function readLastRuns(knex: Knex, className: string): Promise<LastRun[]> {
  const { rows } = await knex.raw<{ rows: { readonly runs: readonly StoredRun[] | null }[] }>(
    `select runs from ${TABLES.stats} where span = 'total' and kind = 'job' and name = ?`,
    [className],
  );
  return readRuns(rows[0]?.runs ?? null);
}

/** What became of the runs of a class, by hour from `from` on, without the hours without any. @throws errors of Postgres. */
export async function readHours(knex: Knex, className: string, from: Date): Promise<HourCounts[]> {
  const { rows } = await knex.raw<{ rows: HourCounts[] }>(
    `select at, counts[${COUNTERS.indexOf('processed') + 1}] as processed, counts[${COUNTERS.indexOf('failed') + 1}] as failed
     from ${TABLES.stats} where span = 'hour' and kind = 'job' and name = ? and at >= ? order by at`,
    [className, from],
  );
  return rows;
}

export interface HourCounts {
  readonly at: Date;
  readonly processed: number;
  readonly failed: number;
}

function toRows({ classes, mailers }: Outcomes): StatsRow[] {
  const ofClasses = [...classes].map(([name, stats]): StatsRow => {
    const histograms = HISTOGRAMS.map((each) => stats[each]);
    const counts = [
      ...COUNTERS.map((each) => stats[each]),
      ...histograms.flatMap((histogram) => [histogram.sumMs, ...histogram.counts]),
      ...LATER_COUNTERS.map((each) => stats[each]),
    ];
    return {
      kind: 'job',
      name,
      counts,
      maxima: histograms.map(({ maxMs }) => maxMs),
      runs: newestFirst(stats.runs, stats.ended),
    };
  });
  const ofMailers = [...mailers].map(([name, counts]): StatsRow => {
    return { kind: 'mail', name, counts: MAIL_OUTCOMES.map((outcome) => counts[outcome]), maxima: [], runs: null };
  });
  return [...ofClasses, ...ofMailers];
}

function addRow(outcomes: Outcomes, { kind, name, counts, maxima }: Omit<StatsRow, 'runs'>): void {
  const values = counts.values();
  const next = (): number => values.next().value ?? 0;
  if (kind === 'mail') {
    const mails = outcomes.mailer(name);
    for (const outcome of MAIL_OUTCOMES) mails[outcome] += next();
    return;
  }
  const stats = new ClassStats();
  for (const counter of COUNTERS) stats[counter] = next();
  for (const [index, histogram] of HISTOGRAMS.entries()) {
    const { counts: buckets } = stats[histogram];
    stats[histogram].add({ sumMs: next(), counts: buckets.map(next), maxMs: maxima[index] ?? 0 });
  }
  for (const counter of LATER_COUNTERS) stats[counter] = next();
  outcomes.class(name).merge(stats);
}
