import type { Knex } from 'knex';
import type { TreeStatus } from '../cluster/status';
import { environment } from '../core/config';
import { Events } from '../core/events';
import { Redis } from '../core/redis';
import { readSettings } from '../core/settings';
import { StatusCollector, type SystemStatus } from '../health/status-collector';
import { Database } from '../model/database';
import { resolvedUrls } from '../role/connect/server-connections';
import { Deadline } from '../support/deadline';
import { toError } from '../support/to-error';

/** What Redis and Postgres say about the tree. */
export interface Health {
  /** undefined if neither could be reached. */
  readonly systemStatus: SystemStatus | undefined;
  /** Why values are missing. */
  readonly trouble: string | undefined;
}

const STOP_MS = 1000;
/** A read of Postgres fails after this, ms, so that the only connection does not wait forever. */
const STATEMENT_TIMEOUT_MS = 5000;
/** Timeout for the first connection to Redis, ms. */
const READY_MS = 3000;

interface Connections {
  readonly redis: Redis;
  readonly database: Database;
  readonly statusCollector: StatusCollector;
}

/** Reads the health of a tree, using the settings of the current shell or the embedded servers in the tree's folder. */
export class HealthReader {
  private connecting: Promise<Connections> | undefined;

  private treeStatus: TreeStatus | undefined;

  /** @param cwd the tree's folder. */
  constructor(private readonly cwd: string) {}

  /** Reads everything once. Never rejects: failures are reported in `trouble`. @param treeStatus what the tree has said. */
  async read(treeStatus: TreeStatus): Promise<Health> {
    this.treeStatus = treeStatus;
    try {
      this.connecting ??= connect(this.cwd, async () => this.treeStatus ?? treeStatus);
      const systemStatus = await (await this.connecting).statusCollector.collect();
      return { systemStatus, trouble: undefined };
    } catch (thrown) {
      this.connecting = undefined;
      const [first = '', second = ''] = toError(thrown).message.split('\n');
      return { systemStatus: undefined, trouble: `${first} ${second.trim()}`.trim() };
    }
  }

  async stop(): Promise<void> {
    const connections = await this.connecting?.catch(() => undefined);
    const deadline = Deadline.after(STOP_MS);
    await Promise.allSettled([connections?.redis.stop(deadline), connections?.database.stop(deadline)]);
  }
}

async function connect(cwd: string, status: () => Promise<TreeStatus>): Promise<Connections> {
  const config = readSettings({ env: environment(), cwd });
  const urls = await resolvedUrls(config);
  const events = new Events();
  const production = config.environment === 'production';
  const redis = new Redis(urls.redis, events);
  const database = new Database(urls.database, { production, events, poolMax: 1, schema: config.databaseSchema });
  const ready = events.next('redis.ready');
  await redis.start();
  // If this is not long enough, the client keeps trying by itself.
  if (!redis.isOff) await Deadline.after(READY_MS).wait(ready);
  const knex: Knex = database.withTimeout(STATEMENT_TIMEOUT_MS);
  return { redis, database, statusCollector: new StatusCollector({ tree: { status }, redis, knex, events, config }) };
}
