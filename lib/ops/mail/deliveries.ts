import type { Knex } from 'knex';
import { TODAY } from '../../verdict/mails-to-retry';

export const DELIVERY_STATES = ['sent', 'claimed', 'failed'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** What is known of one mail. */
export interface DeliveryRow {
  /** `<job id>/…`, or `once/…` outside of jobs. */
  readonly key: string;
  readonly mailer: string;
  readonly action: string;
  readonly recipients: readonly string[];
  readonly subject: string;
  readonly message_id: string;
  readonly state: DeliveryState;
  readonly attempts: number;
  /** What the server answered, or where the mail lies. */
  readonly response: string | null;
  /** Why it failed, or who was refused. */
  readonly error: string | null;
  readonly sent_at: Date | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

export interface DeliveryFilter {
  readonly state: DeliveryState | null;
  /** `UserMailer#welcome`; empty for any. */
  readonly template: string;
  /** Part of an address, a subject, an answer; empty for any. */
  readonly search: string;
}

/** The clock of whoever enqueued may be ahead of that of Postgres by so much. */
const CLOCKS_DIFFER_MS = 3_600_000;
/** More are not counted. */
export const COUNTED = 10_000;
/** Templates of so many newest mails are offered as a filter. */
const TEMPLATES_OF = 5000;
const TEMPLATE = `mailer || '#' || action`;
const COLUMNS = [
  ...['key', 'mailer', 'action', 'recipients', 'subject', 'message_id', 'state', 'attempts'],
  ...['response', 'error', 'sent_at', 'created_at', 'updated_at'],
];
const NEWEST = [
  { column: 'created_at', order: 'desc' },
  { column: 'key', order: 'desc' },
] as const;

/** The delivery records, for reading. */
export class Deliveries {
  constructor(private readonly knex: Knex) {}

  /** Newest first. */
  async list(filter: DeliveryFilter, from: number, count: number): Promise<DeliveryRow[]> {
    return this.matching(filter)
      .select<DeliveryRow[]>(COLUMNS)
      .orderBy([...NEWEST])
      .offset(from)
      .limit(count);
  }

  async find(key: string): Promise<DeliveryRow | undefined> {
    const [row] = await this.knex('mail_deliveries').select<DeliveryRow[]>(COLUMNS).where({ key });
    return row;
  }

  /** Those of one job that was enqueued then, in the order in which it began them. @param most at most so many. */
  async ofJob(id: string, enqueuedAt: Date, most: number): Promise<DeliveryRow[]> {
    return this.knex('mail_deliveries')
      .select<DeliveryRow[]>(COLUMNS)
      .where('created_at', '>=', new Date(enqueuedAt.getTime() - CLOCKS_DIFFER_MS))
      .whereRaw('starts_with(key, ?)', [`${id}/`])
      .orderBy('created_at')
      .orderBy('key')
      .limit(most);
  }

  /** At most COUNTED. */
  async count(filter: DeliveryFilter): Promise<number> {
    const some = this.matching(filter).select(this.knex.raw('1')).limit(COUNTED).as('some');
    const [row] = await this.knex.from(some).count<{ count: string }[]>('* as count');
    return Number(row?.count ?? 0);
  }

  /** `UserMailer#welcome`, of the newest mails. */
  async templates(): Promise<string[]> {
    const newest = this.knex('mail_deliveries')
      .select('mailer', 'action')
      .orderBy([...NEWEST])
      .limit(TEMPLATES_OF);
    const rows = await this.knex
      .from(newest.as('newest'))
      .distinct<{ template: string }[]>(this.knex.raw(`${TEMPLATE} as template`))
      .orderBy('template');
    return rows.map(({ template }) => template);
  }

  /** How many of each state have been begun since midnight, UTC. */
  async today(): Promise<Readonly<Record<DeliveryState, number>>> {
    const rows = await this.knex('mail_deliveries')
      .whereRaw(TODAY)
      .groupBy('state')
      .select<{ state: DeliveryState; count: string }[]>('state', this.knex.raw('count(*) as count'));
    const counts = new Map(rows.map(({ state, count }) => [state, Number(count)]));
    return { sent: counts.get('sent') ?? 0, claimed: counts.get('claimed') ?? 0, failed: counts.get('failed') ?? 0 };
  }

  private matching({ state, template, search }: DeliveryFilter): Knex.QueryBuilder {
    const query = this.knex('mail_deliveries');
    if (state !== null) query.where({ state });
    if (template !== '') query.whereRaw(`${TEMPLATE} = ?`, [template]);
    if (search === '') return query;
    const pattern = `%${search.replace(/[\\%_]/g, '\\$&')}%`;
    return query.whereRaw(
      `concat_ws(' ', array_to_string(recipients, ' '), subject, ${TEMPLATE}, response, error, key) ilike ?`,
      [pattern],
    );
  }
}
