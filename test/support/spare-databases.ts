import pg from 'pg';

/**
 * What a test may change besides rows, and the rows that migrations have written ($1: their tables). Catamount's own objects
 * and those of an app have ids from 16384 on.
 */
const SHAPE = `select md5(string_agg(line, ' ' order by line)) as shape from (
  select row(oid, relname, relnamespace, relkind, relowner, relacl, reloptions)::text from pg_class where oid >= 16384
  union all select t::text from pg_attribute t where attrelid >= 16384
  union all select t::text from pg_attrdef t
  union all select t::text from pg_constraint t where oid >= 16384
  union all select t::text from pg_index t where indexrelid >= 16384
  union all select t::text from pg_trigger t
  union all select t::text from pg_proc t where oid >= 16384
  union all select t::text from pg_type t where oid >= 16384
  union all select t::text from pg_extension t
  union all select t::text from pg_namespace t where nspname !~ '^pg_(toast_)?temp'
  union all select t::text from pg_db_role_setting t
  union all select row(datdba, datallowconn, datconnlimit, datacl)::text from pg_database where datname = current_database()
  union all select query_to_xml('select * from ' || t, true, false, '')::text from unnest($1::text[]) t
) lines (line)`;

const FILLED = `select oid::regclass::text as name from pg_class
  where relkind = 'r' and oid >= 16384 and pg_relation_size(oid) > 0`;
const CONNECTIONS = 'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()';

/** A database as its migrations left it. */
export interface Origin {
  readonly template: string;
  readonly shape: string;
  readonly filled: readonly string[];
}

/** Databases that tests have finished with, empty again. To make a new one takes ten times as long. */
export class SpareDatabases {
  private readonly spares: { readonly name: string; readonly origin: Origin }[] = [];
  private count = 0;

  /** @param urlOf the URL of a database. */
  constructor(
    private readonly prefix: string,
    private readonly urlOf: (name: string) => Promise<string>,
  ) {}

  /** @returns the origin of the database that now has this name; undefined when none is spare. */
  async take(template: string, name: string): Promise<Origin | undefined> {
    const at = this.spares.findIndex(({ origin }) => origin.template === template);
    const [spare] = at < 0 ? [] : this.spares.splice(at, 1);
    if (spare === undefined) return undefined;
    await this.on('postgres', (client) => client.query(`alter database ${spare.name} rename to ${name}`));
    return spare.origin;
  }

  /** @returns the origin of a new database. */
  originOf(name: string, template: string): Promise<Origin> {
    return this.on(name, async (client) => {
      const filled = await filledTables(client);
      return { template, filled, shape: await shapeOf(client, filled) };
    });
  }

  /** Ends its connections, empties it and gives it another name. @returns false when more than its rows has changed. */
  async keep(name: string, origin: Origin): Promise<boolean> {
    const spare = `${this.prefix}spare_${++this.count}`;
    const kept = await this.on(name, async (client) => {
      await client.query(`select pg_terminate_backend(pid, 5000) from (${CONNECTIONS}) others`);
      if ((await shapeOf(client, origin.filled)) !== origin.shape) return false;
      const written = (await filledTables(client)).filter((table) => !origin.filled.includes(table));
      if (written.length > 0) await client.query(`truncate ${written.join()} restart identity cascade`);
      // As in a database that was restored: what tests have counted must not decide how others are planned.
      await client.query('delete from pg_statistic where starelid >= 16384');
      await client.query('select pg_stat_reset()');
      return true;
    });
    if (!kept) return false;
    await this.on('postgres', (client) => client.query(`alter database ${name} rename to ${spare}`));
    this.spares.push({ name: spare, origin });
    return true;
  }

  private async on<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client(await this.urlOf(database));
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }
}

async function shapeOf(client: pg.Client, filled: readonly string[]): Promise<string> {
  const { rows } = await client.query<{ shape: string }>(SHAPE, [filled]);
  return rows[0]?.shape ?? '';
}

async function filledTables(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(FILLED);
  return rows.map(({ name }) => name);
}
