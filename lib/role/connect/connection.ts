import { setTimeout as wait } from 'node:timers/promises';
import { Model } from 'objection';
import { connectBroadcasts } from '../../broadcast/broadcast';
import type { Config } from '../../core/config';
import { publishDiagnostics } from '../../core/diagnostics';
import { logEvents } from '../../core/event-catalog';
import { Events } from '../../core/events';
import { LogFilter } from '../../core/log-filter';
import { createLogger, openLogDestination } from '../../core/logging';
import { Redis } from '../../core/redis';
import { redisPlace } from '../../core/redis-url';
import type { JobSetup } from '../../job/definition/setup';
import { enqueuesUnderWay } from '../../job/enqueue/enqueue';
import type { Database } from '../../model/database';
import { type LoadedModels, loadModels } from '../../model/model-lookup';
import { connectTransactions } from '../../model/transaction';
import { Deadline } from '../../support/deadline';
import type { AppDefinition } from '../app/app-definition';
import { loadJobSetup } from '../app/load-parts';
import { openDatabase } from '../app/open-database';
import { connectJobs, connectToSubscribers } from './connect-app';
import { connectOrFail, reachRedis, resolvedUrls } from './server-connections';

const STOP_MS = 5000;
/** Time limit for the first connection to a Redis without which the work can be done, ms. */
const PATIENCE_MS = 2000;
/** How often it is asked whether something is still under way, ms. */
const POLL_MS = 5;

interface ConnectionOptions {
  readonly as: string;
  /** Beginning of the message when a server does not answer: `Nothing done`. */
  readonly doing: string;
  /** The servers without which there is nothing to do; Redis is used if it answers. Default: Postgres, with a warning. */
  readonly needs?: 'postgres' | 'both' | undefined;
}

/** A process outside the tree that uses the app's models, and enqueues jobs and mails. */
export class AppConnection {
  private constructor(
    readonly events: Events,
    readonly database: Database,
    readonly redis: Redis,
    readonly setup: JobSetup,
    readonly models: LoadedModels,
    private readonly undo: () => void,
  ) {}

  /** @throws UserError, exit code 69, when a server that is needed does not answer. */
  static async open(
    app: AppDefinition,
    config: Config,
    { as, doing, needs }: ConnectionOptions,
  ): Promise<AppConnection> {
    const setup = await loadJobSetup(app);
    const models = await loadModels(app.modelsDir, app);
    const urls = await resolvedUrls(config);
    const events = new Events();
    publishDiagnostics(events);
    const database = openDatabase(config, urls.database, events, 2);
    const redis = new Redis(urls.redis, events);
    const undo = () => {
      undoJobs();
      connectBroadcasts(undefined);
      connectTransactions(undefined);
    };
    const undoJobs = connectJobs({ database, redis, events, setup, models, jobs: config.jobs });
    connectToSubscribers({ app: app.name, redis, events });
    const connection = new AppConnection(events, database, redis, setup, models, undo);
    try {
      await Promise.all([
        needs === 'both' && urls.redis !== null
          ? reachRedis(redis, urls.redis, events, doing)
          : redis.start().then(() => redis.firstAttempt(PATIENCE_MS)),
        connectOrFail(database, doing),
      ]);
    } catch (error) {
      await connection.close(Deadline.after(STOP_MS));
      throw error;
    }
    // Subscribed only now: earlier failures are reported once, by the error that they cause.
    const log = logToStderr(config);
    logEvents(events, createLogger({ log }, as, openLogDestination(log, 2), new LogFilter(events)));
    if (needs === undefined && urls.redis !== null && !redis.client.isReady) {
      const message = `Redis at ${redisPlace(urls.redis)} cannot be reached, so this goes on without it`;
      events.emit('process.warning', { message });
    }
    events.emit('setup.loaded', { filterArguments: setup.filterArguments ?? [] });
    Model.knex(database.knex);
    connectTransactions(database.knex, (model) => events.emit('query.left-transaction', { model }));
    return connection;
  }

  /**
   * Waits for the enqueues, transactions and queries that the app has begun, awaited or not, and for those that follow them.
   * Other work, such as a timer, is not known here.
   */
  async settled(deadline = Deadline.after(Number.POSITIVE_INFINITY)): Promise<void> {
    // Work may begin a moment after the query that it waited for has ended, so two quiet looks in a row are needed.
    for (let quiet = 0; quiet < 2 && !deadline.expired; ) {
      await wait(POLL_MS);
      const { used, waiting } = this.database.poolUse();
      quiet = enqueuesUnderWay() + used + waiting === 0 ? quiet + 1 : 0;
    }
  }

  /** Closes the connections once everything is settled, after five seconds at most; nothing can be enqueued afterwards. */
  async disconnect(): Promise<void> {
    const deadline = Deadline.after(STOP_MS);
    await this.settled(deadline);
    await this.close(deadline);
  }

  private async close(deadline: Deadline): Promise<void> {
    this.undo();
    await Promise.allSettled([this.redis.stop(deadline), this.database.stop(deadline)]);
  }
}

/** Logs to standard error; on a terminal only warnings, since the answer already says what was done. */
function logToStderr({ log }: Config): Omit<Config['log'], 'requests'> {
  const isTty = process.stderr.isTTY === true;
  return { level: isTty ? 'warn' : log.level, format: isTty ? 'pretty' : log.format };
}
