import type { Knex } from 'knex';
import type { LoadedModels } from '../../model/model-lookup';

/** A record whose column `email` has the address. */
interface Owner {
  /** `User 17`. */
  readonly name: string;
  /** The record as jobs have it among their arguments. */
  readonly argument: string;
}

const MAX_OWNERS = 3;

/**
 * Finds the records with an address, by a column `email` of any model: a mail that has not been sent names its recipient by a
 * record among the arguments of its job. @returns none for a text that is no address.
 */
export async function ownersOf(models: LoadedModels, knex: Knex, text: string): Promise<Owner[]> {
  if (!/^\S+@\S+$/.test(text)) return [];
  const classes = [...models.values()].filter(({ idColumn }) => typeof idColumn === 'string');
  const { rows } = await knex.raw<{ rows: { readonly table_name: string }[] }>(
    `select table_name from information_schema.columns
     where table_name = any(?) and column_name = 'email' and table_schema = any(current_schemas(false))`,
    [classes.map(({ tableName }) => tableName) as unknown as Knex.RawBinding],
  );
  const tables = new Set(rows.map(({ table_name }) => table_name));
  const found = classes.flatMap(async ({ name, tableName, idColumn }) => {
    if (!tables.has(tableName)) return [];
    const owners = await knex(tableName)
      .whereRaw('lower(email::text) = lower(?)', [text])
      .limit(MAX_OWNERS)
      .pluck<(string | number)[]>(String(idColumn));
    return owners.map((id) => ({ name: `${name} ${id}`, argument: JSON.stringify([name, id]) }));
  });
  return (await Promise.all(found)).flat();
}
