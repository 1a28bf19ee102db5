import { type Config, hasInheritedConfig } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import { CHILD_LOG_FD, openLog } from '../../core/logging';
import { migrateDown, migrateUp } from '../../model/migrator';
import { Deadline } from '../../support/deadline';
import { type AppDefinition, findMigrations } from '../app/app-definition';
import { openDatabase } from '../app/open-database';
import { connectOrFail } from '../connect/server-connections';

/** `migrate` runs pending migrations; `rollback` undoes the last batch. Both may run repeatedly or concurrently. */
export async function runMigrations(app: AppDefinition, config: Config, direction: 'up' | 'down'): Promise<void> {
  if (config.databaseUrl === null) {
    throw new UserError(
      'DATABASE_URL is not set, so there is nothing to migrate here: `npm start` migrates the embedded database itself, and `catamount db migrate` does while it runs.',
      EXIT.config,
    );
  }
  // Once its primary has died, nobody waits for the migrations.
  process.once('disconnect', () => process.exit(EXIT.failed));
  // The listener alone must not keep this process alive.
  process.channel?.unref();
  const events = openLog(config, 'migrate', hasInheritedConfig() ? CHILD_LOG_FD : 1);
  const database = openDatabase(config, config.databaseDirectUrl ?? config.databaseUrl, events, 2);
  try {
    await connectOrFail(database, 'Cannot migrate');
    const did = direction === 'up' ? 'applied' : 'rolled back';
    const names = await (direction === 'up' ? migrateUp : migrateDown)(database.knex, findMigrations(app));
    for (const name of names) events.emit('migration.done', { name, did });
  } finally {
    await database.stop(Deadline.after(5000));
  }
}
