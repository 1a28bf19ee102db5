import { type Config, connectionsOfTree, sumOverDeploy } from '../../core/config';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import { type Database, readAllowedConnections } from '../../model/database';
import { pendingMigrations } from '../../model/migrations';
import { TreeDirectory } from '../../tree/tree-directory';
import { type AppDefinition, migrationsOf } from '../app/app-definition';

/** Warns when the pools of all trees, old and new ones side by side, may open more connections than Postgres allows. */
export async function warnOfPlannedConnections(sources: {
  readonly config: Pick<Config, 'web' | 'jobs' | 'databasePool'>;
  readonly database: Pick<Database, 'knex'>;
  readonly redis: Pick<Redis, 'client' | 'isOff'>;
  readonly events: Events;
  /** Id of the own tree, which is counted whether it is listed already or not. */
  readonly treeId: string;
}): Promise<void> {
  const { config, database, redis, events, treeId } = sources;
  try {
    // Without Redis it knows no other tree.
    const listed = redis.isOff ? [] : await new TreeDirectory(redis.client).list();
    const others = listed.map(({ treeStatus }) => treeStatus).filter(({ id }) => id !== treeId);
    const counts = [connectionsOfTree(config), ...others.map(({ limits }) => limits.databaseConnections ?? 0)];
    const planned = sumOverDeploy(counts);
    const allowed = await readAllowedConnections(database.knex);
    if (planned <= allowed) return;
    events.emit('database.overplanned', { planned, allowed, trees: counts.length });
  } catch {
    // This is a forecast only: once the servers answer, /ops shows the same.
  }
}

/** Production runs no migrations at the start, because the release phase does; pending ones are only reported. */
export async function warnOfPendingMigrations(
  app: AppDefinition,
  { database, events }: { readonly database: Pick<Database, 'knex'>; readonly events: Events },
): Promise<void> {
  const names = await pendingMigrations(database.knex, migrationsOf(app)).catch(() => []);
  if (names.length === 0) return;
  const message = `${names.length} migrations have not run: ${names.join(', ')}. Run: node dist/server.js migrate`;
  events.emit('process.warning', { message });
}
