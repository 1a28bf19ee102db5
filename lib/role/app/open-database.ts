import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import { Database } from '../../model/database';

/** The database at this URL, as the settings say. @param poolMax most connections. */
export function openDatabase(
  config: Pick<Config, 'environment' | 'databaseSchema'>,
  url: string,
  events: Events,
  poolMax: number,
): Database {
  const { environment, databaseSchema: schema } = config;
  return new Database(url, { production: environment === 'production', events, poolMax, schema });
}
