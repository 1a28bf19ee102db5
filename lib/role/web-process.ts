import { Model } from 'objection';
import type { Connection, DrainableServer, PassOn } from '../cluster/worker';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import { Redis } from '../core/redis';
import { connectJobs } from '../job/connect';
import { Database } from '../model/database';
import { connectTransactions } from '../model/transaction';
import type { Deadline } from '../support/deadline';
import { createApplication } from '../web/application';
import type { RawConnection } from '../web/raw-connection';
import { WebServer } from '../web/server';
import type { AppDefinition } from './app-definition';
import { serverUrls } from './server-urls';

/** Everything that serves HTTP in one process: a forked worker, or the primary itself in single mode. */
export class WebProcess implements DrainableServer {
  private readonly database: Database;
  private readonly redis: Redis;
  private server: WebServer | undefined;

  constructor(
    private readonly app: AppDefinition,
    private readonly config: Config,
    private readonly events: Events,
  ) {
    const urls = serverUrls(config);
    this.database = new Database(urls.database, { production: config.environment === 'production', events });
    this.redis = new Redis(urls.redis, events);
  }

  /** Connects, builds the app and listens. @returns the address in use. */
  async start(): Promise<string> {
    const { app, config, events, database, redis } = this;
    await redis.start();
    Model.knex(database.knex);
    connectTransactions(database.knex);
    connectJobs({ database, redis, events });
    const routes = await app.routes();
    const application = createApplication({
      config,
      events,
      appName: app.name,
      routes: routes.default,
      readiness: [
        { name: 'postgres', check: () => database.ping() },
        { name: 'redis', check: () => redis.ping() },
      ],
      isLeaving: () => this.server?.leaving ?? false,
    });
    this.server = new WebServer(config.listen, application.callback());
    return this.server.listen();
  }

  async becomePolite(atMostMs: number): Promise<void> {
    await this.server?.becomePolite(atMostMs);
  }

  adopt(connection: Connection): boolean {
    return this.server?.adopt(connection as RawConnection) ?? false;
  }

  /** Finishes what is in flight, then lets the connections to Postgres and Redis go. */
  async drain(deadline: Deadline, passOn?: PassOn): Promise<void> {
    await this.server?.drain(deadline, passOn);
    await Promise.allSettled([this.database.stop(deadline), this.redis.stop(deadline)]);
  }
}
