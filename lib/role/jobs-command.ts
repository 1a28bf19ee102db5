import os from 'node:os';
import { Model } from 'objection';
import type { Config } from '../core/config';
import { EXIT } from '../core/errors';
import { Events } from '../core/events';
import { openLogDestination } from '../core/log-destination';
import { LogFilter } from '../core/log-filter';
import { logEvents } from '../core/log-subscriber';
import { createLogger } from '../core/logger';
import { Redis } from '../core/redis';
import type { JobCommand } from '../job/command/command';
import { Desk } from '../job/command/desk';
import { jobsHelp } from '../job/command/help';
import { parseJobCommand } from '../job/command/parse';
import { Terminal } from '../job/command/terminal';
import { connectJobs } from '../job/connect';
import { loadJobs } from '../job/registry';
import { DeliverMailJob } from '../mailer/deliver-mail-job';
import { Database } from '../model/database';
import { ModelFolder } from '../model/model-folder';
import { connectTransactions } from '../model/transaction';
import { Deadline } from '../support/deadline';
import { OperatorActs } from '../tree/operator-acts';
import type { AppDefinition } from './app-definition';
import { explained } from './jobs-command-errors';
import { loadJobSetup } from './load-job-setup';
import { reachPostgres, reachRedis } from './reach';
import { settledUrls } from './settled-urls';

const STOP_MS = 5000;

/**
 * `catamount jobs …`: looks at jobs, moves or enqueues them, and ends. The app's own classes, setup and filters hold, and
 * no tree need run.
 * @throws UserError for wrong usage, for what is not found, and when Redis or Postgres is not there.
 */
export async function runJobsCommand(
  app: AppDefinition,
  args: readonly string[],
  readConfig: () => Promise<Config>,
): Promise<void> {
  const typed = parseJobCommand(args);
  const terminal = new Terminal();
  if (typed.help) return terminal.print(jobsHelp(typed.command));
  const config = await readConfig();
  const parts = await connect(app, config, terminal, typed.command);
  try {
    const answer = await typed.run(new Desk(parts)).catch((error: unknown) => {
      throw explained(error);
    });
    await terminal.print(typed.json ? `${JSON.stringify(answer.json, null, 2)}\n` : answer.text);
    await parts.acts.settled();
    for (const note of typed.json ? [] : (answer.notes ?? [])) terminal.remark(note);
    process.exitCode = answer.ok === false ? EXIT.failed : EXIT.ok;
  } finally {
    const deadline = Deadline.after(STOP_MS);
    await Promise.allSettled([parts.redisService.stop(deadline), parts.database.stop(deadline)]);
  }
  // The app's own code may have left something open.
  process.exit();
}

async function connect(app: AppDefinition, config: Config, terminal: Terminal, { needs }: JobCommand) {
  const registry = loadJobs(app.jobsDir);
  registry.add(DeliverMailJob);
  const equipment = { setup: await loadJobSetup(app), models: new ModelFolder(app.modelsDir) };
  const urls = await settledUrls(config);
  const events = new Events();
  const production = config.environment === 'production';
  const database = new Database(urls.database, { production, events, poolMax: 2 });
  const redis = new Redis(urls.redis, events);
  await Promise.all([
    needs.includes('redis') && reachRedis(redis, urls.redis, events, 'Nothing done'),
    needs.includes('postgres') && reachPostgres(database, 'Nothing done'),
  ]);
  // From here on: what went wrong before is told once, by the error.
  const log = logOf(config);
  logEvents(events, createLogger({ log }, 'cli', openLogDestination(log, 2), new LogFilter(events)));
  events.emit('setup.loaded', { filterArguments: equipment.setup.filterArguments ?? [] });
  const acts = new OperatorActs(redis, events);
  acts.listen();
  Model.knex(database.knex);
  connectTransactions(database.knex, (model) => events.emit('query.left-transaction', { model }));
  connectJobs({ database, redis, events, ...equipment });
  return {
    redis: redis.client,
    redisService: redis,
    acts,
    database,
    knex: database.knex,
    events,
    via: `cli (${userName()})`,
    queues: config.jobs.queues.map((queue) => queue.name),
    registry,
    equipment,
    terminal,
  };
}

/** Beside the answer, and quieter on a terminal: who sits there reads in the answer what was done. */
function logOf({ log }: Config): Config['log'] {
  const isTty = process.stderr.isTTY === true;
  return { level: isTty ? 'warn' : log.level, format: isTty ? 'pretty' : log.format, file: null };
}

function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    // A container's user may have no name.
    return `user ${process.getuid?.()}`;
  }
}
