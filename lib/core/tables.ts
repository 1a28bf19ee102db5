import { createHash } from 'node:crypto';

/** The schema of DATABASE_SCHEMA where it is not set. */
export const DEFAULT_SCHEMA = 'public';

/**
 * Catamount's tables and NOTIFY channels as statements name them. Statements read them where they run, never while a
 * module loads: `useSchema` may come later.
 */
export const TABLES = {
  /** undefined: the tables are named without a schema, and found by the search path. */
  schema: undefined as string | undefined,
  outbox: 'job_outbox',
  dead: 'job_dead',
  handovers: 'job_handovers',
  cron: 'job_cron',
  pauses: 'job_pauses',
  installation: 'job_installation',
  deliveries: 'mail_deliveries',
  keys: 'ops_keys',
  signOuts: 'ops_sign_outs',
  /** The channel for new rows of the outbox. */
  channel: 'job_outbox',
  /** The channel on which a listener finds out whether notifications reach it; the payload is its token. */
  echoChannel: 'job_outbox_echo',
  /** The channel on which a relay says that it has looked: its id, and ms until it looks again; or, at its end, ''. */
  relayChannel: 'job_outbox_relay',
};

const UNQUALIFIED = { ...TABLES };
const CHANNELS = ['channel', 'echoChannel', 'relayChannel'] as const;

/**
 * Has all statements of this process name Catamount's tables in a schema, whatever the search path: that of a session
 * does not hold through a pooler in transaction mode. A channel's name is as long for any schema, since Postgres allows
 * 63 bytes.
 * @param schema lower-case letters, digits and _.
 */
export function useSchema(schema: string): void {
  Object.assign(TABLES, UNQUALIFIED);
  if (schema === DEFAULT_SCHEMA) return;
  const { schema: _, ...names } = UNQUALIFIED;
  for (const key of Object.keys(names) as (keyof typeof names)[]) TABLES[key] = `"${schema}".${names[key]}`;
  const suffix = createHash('sha256').update(schema).digest('hex').slice(0, 12);
  for (const key of CHANNELS) TABLES[key] = `${names[key]}_${suffix}`;
  TABLES.schema = schema;
}
