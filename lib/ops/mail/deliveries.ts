import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

export const DELIVERY_STATES = ['sent', 'claimed', 'failed'] as const;
type DeliveryState = (typeof DELIVERY_STATES)[number];

export interface DeliveryRow {
  /** `<job id>/…`, or `once/…` for a mail that was not sent by a job. */
  readonly key: string;
  readonly mailer: string;
  readonly action: string;
  readonly recipients: readonly string[];
  readonly subject: string;
  readonly message_id: string;
  readonly state: DeliveryState;
  readonly attempts: number;
  /** The answer of the SMTP server, or the path of the mail's file. */
  readonly response: string | null;
  /** The reason of the failure, or the refused recipients. */
  readonly error: string | null;
  readonly sent_at: Date | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

export interface DeliveryFilter {
  readonly state: DeliveryState | null;
  /**
   * An address, of any mail; or part of an address, a subject, an answer or a template such as `UserMailer#welcome`, of the newest
   * 5,000; empty for any.
   */
  readonly search: string;
}

/** The clock of the enqueuing process may be ahead of that of Postgres by this much, ms. */
const CLOCKS_DIFFER_MS = 3_600_000;
/** Maximum number of rows that are counted, so that the count stays cheap. */
export const MAX_COUNTED = 10_000;
/** A search for words reads this many mails, the newest of the state. */
const MAX_READ = 5_000;
const TEMPLATE = `mailer || '#' || action`;
const COLUMNS = [
  ...['key', 'mailer', 'action', 'recipients', 'subject', 'message_id', 'state', 'attempts'],
  ...['response', 'error', 'sent_at', 'created_at', 'updated_at'],
];
const MATCHING = ['key', 'created_at'];
const NEWEST = [
  { column: 'created_at', order: 'desc' },
  { column: 'key', order: 'desc' },
] as const;

export class Deliveries {
  constructor(private readonly knex: Knex) {}

  /** Matching records, the newest first. */
  async list(filter: DeliveryFilter, from: number, count: number): Promise<DeliveryRow[]> {
    const page = this.knex
      .from(this.matching(filter).as('matching'))
      .orderBy([...NEWEST])
      .offset(from)
      .limit(count);
    return this.knex(this.knex.raw(TABLES.deliveries))
      .select<DeliveryRow[]>(COLUMNS)
      .whereIn('key', page.select('key'))
      .orderBy([...NEWEST]);
  }

  async find(key: string): Promise<DeliveryRow | undefined> {
    const [row] = await this.knex(this.knex.raw(TABLES.deliveries)).select<DeliveryRow[]>(COLUMNS).where({ key });
    return row;
  }

  /** Records of one job in the order of their creation. @param enqueuedAt limits the rows that are searched. */
  async ofJob(id: string, enqueuedAt: Date, most: number): Promise<DeliveryRow[]> {
    return this.knex(this.knex.raw(TABLES.deliveries))
      .select<DeliveryRow[]>(COLUMNS)
      .where('created_at', '>=', new Date(enqueuedAt.getTime() - CLOCKS_DIFFER_MS))
      .whereRaw('starts_with(key, ?)', [`${id}/`])
      .orderBy('created_at')
      .orderBy('key')
      .limit(most);
  }

  /** Number of matching records, at most MAX_COUNTED. */
  async count(filter: DeliveryFilter): Promise<number> {
    const some = this.knex.from(this.matching(filter).as('matching')).select(this.knex.raw('1')).limit(MAX_COUNTED);
    const [row] = await this.knex.from(some.as('some')).count<{ count: string }[]>('* as count');
    return Number(row?.count ?? 0);
  }

  private ofState({ state }: DeliveryFilter): Knex.QueryBuilder {
    const query = this.knex(this.knex.raw(TABLES.deliveries));
    return state === null ? query : query.where({ state });
  }

  /** The keys and times of matching records. Postgres finds them first, and then reads those of a page. */
  private matching(filter: DeliveryFilter): Knex.QueryBuilder {
    const { search } = filter;
    if (search === '') return this.ofState(filter).select(MATCHING);
    const newest = this.ofState(filter)
      .orderBy([...NEWEST])
      .limit(MAX_READ);
    const words = `concat_ws(' ', array_to_string(recipients, ' '), subject, ${TEMPLATE}, response, error, key) ilike ?`;
    return this.knex
      .from(newest.as('newest'))
      .select(MATCHING)
      .whereRaw(words, [`%${search.replace(/[\\%_]/g, '\\$&')}%`])
      .union(
        this.ofState(filter).select(MATCHING).whereRaw('recipients && array[?, ?]', [search, search.toLowerCase()]),
      );
  }
}
