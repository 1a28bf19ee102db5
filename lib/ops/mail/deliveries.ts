import type { Knex } from 'knex';

export const DELIVERY_STATES = ['sent', 'claimed', 'failed'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** What is known of one mail. */
export interface DeliveryRow {
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
  /** Part of an address, a subject, a mailer, an answer. */
  readonly search: string;
}

/** More are not counted. */
export const COUNTED = 10_000;
const COLUMNS = [
  'key',
  'mailer',
  'action',
  'recipients',
  'subject',
  'message_id',
  'state',
  'attempts',
  'response',
  'error',
  'sent_at',
  'created_at',
  'updated_at',
];

/** The delivery records, for reading. */
export class Deliveries {
  constructor(private readonly knex: Knex) {}

  /** Newest first. */
  async list(filter: DeliveryFilter, from: number, count: number): Promise<DeliveryRow[]> {
    return this.matching(filter)
      .select<DeliveryRow[]>(COLUMNS)
      .orderBy([
        { column: 'created_at', order: 'desc' },
        { column: 'key', order: 'desc' },
      ])
      .offset(from)
      .limit(count);
  }

  /** At most COUNTED. */
  async count(filter: DeliveryFilter): Promise<number> {
    const some = this.matching(filter).select(this.knex.raw('1')).limit(COUNTED).as('some');
    const [row] = await this.knex.from(some).count<{ count: string }[]>('* as count');
    return Number(row?.count ?? 0);
  }

  /** How many of each state have been begun since midnight, UTC. */
  async today(): Promise<Readonly<Record<DeliveryState, number>>> {
    const rows = await this.knex('mail_deliveries')
      .where('created_at', '>=', this.knex.raw(`date_trunc('day', now() at time zone 'utc') at time zone 'utc'`))
      .groupBy('state')
      .select<{ state: DeliveryState; count: string }[]>('state', this.knex.raw('count(*) as count'));
    const counts = new Map(rows.map(({ state, count }) => [state, Number(count)]));
    return { sent: counts.get('sent') ?? 0, claimed: counts.get('claimed') ?? 0, failed: counts.get('failed') ?? 0 };
  }

  private matching({ state, search }: DeliveryFilter): Knex.QueryBuilder {
    const query = this.knex('mail_deliveries');
    if (state !== null) query.where({ state });
    if (search !== '') {
      const pattern = `%${search.replace(/[\\%_]/g, '\\$&')}%`;
      query.whereRaw(
        `concat_ws(' ', array_to_string(recipients, ' '), subject, mailer || '#' || action, response, error, key) ilike ?`,
        [pattern],
      );
    }
    return query;
  }
}
