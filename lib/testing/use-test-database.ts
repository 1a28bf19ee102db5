import type { TestDatabase, TestDatabaseOptions } from './test-database';

/**
 * Connects models and `transaction()` to a test database.
 *
 *     let database
 *     before(async () => { database = await useTestDatabase({ url: 'postgres://localhost/shop_test', app }) })
 *     beforeEach(() => database.begin())
 *     afterEach(() => database.rollBack())
 *     after(() => database.close())
 */
export async function useTestDatabase(options: TestDatabaseOptions): Promise<TestDatabase> {
  // knex and objection are for those who use them.
  const { openTestDatabase } = await import('./test-database');
  return openTestDatabase(options);
}
