import { PLATFORM, packageFolder, postgresBinaries } from '../../lib/embedded/find-binaries';
import { OwnPostgres } from './own-postgres';
import { databaseAt, type TestDatabase } from './postgres';
import { until } from './until';

const NAME = 'shop';

/** The oldest Postgres that Catamount is tested with, with one empty database. */
export class OlderPostgres {
  private constructor(private readonly server: OwnPostgres) {}

  static async start(): Promise<OlderPostgres> {
    const server = await OwnPostgres.prepare(postgresBinaries(() => packageFolder(`postgres-15-${PLATFORM}`)));
    await server.makeData();
    server.launch();
    const made = new OlderPostgres(server);
    const first = made.at('postgres');
    await until('the older Postgres answers queries', async () => server.hasEnded || (await first.query('select 1')));
    if (server.hasEnded) throw new Error(`Postgres exited:\n${server.log}`);
    await first.query(`create database ${NAME}`);
    return made;
  }

  get database(): TestDatabase {
    return this.at(NAME);
  }

  /** Stops it and removes its data. */
  remove(): Promise<void> {
    return this.server.remove();
  }

  /** `drop` does nothing, since the database is removed with the server. */
  private at(name: string): TestDatabase {
    return databaseAt(this.server.urlOf(name), async () => undefined);
  }
}
