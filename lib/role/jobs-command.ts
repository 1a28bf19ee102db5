import os from 'node:os';
import { Model } from 'objection';
import type { Config } from '../core/config';
import { EXIT, UserError } from '../core/errors';
import { logEvents } from '../core/event-catalog';
import { Events } from '../core/events';
import { createLogger, LogFilter, openLogDestination } from '../core/logging';
import { Redis } from '../core/redis';
import { JobAdmin } from '../job/admin/job-admin';
import type { CommandContext, JobCommand } from '../job/cli/command';
import { jobsHelp, parseJobCommand } from '../job/cli/commands';
import { Terminal } from '../job/cli/terminal';
import { loadJobs } from '../job/job-registry';
import { adoptDatabase } from '../job/outbox/installation';
import { DeliverMailJob } from '../mailer/message';
import { Database } from '../model/database';
import { ModelFolder } from '../model/model-lookup';
import { connectTransactions } from '../model/transaction';
import { Deadline, toError } from '../support/async';
import { OperatorActions } from '../tree/operator-actions';
import type { AppDefinition } from './app-definition';
import { connectJobs, loadJobSetup } from './load-setup';
import { connectOrFail, reachRedis, resolvedUrls } from './server-connections';

const STOP_MS = 5000;

/**
 * `catamount jobs …`: inspects, changes or enqueues jobs, then exits. It uses the app's own classes, setup and argument
 * filters; no tree has to run.
 * @throws UserError for wrong usage, for anything not found, and when Redis or Postgres is unavailable.
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
    const answer = await typed.run(contextOf(parts)).catch((error: unknown) => {
      throw explained(error);
    });
    await terminal.print(typed.json ? `${JSON.stringify(answer.json, null, 2)}\n` : answer.text);
    await parts.actions.settled();
    for (const note of typed.json ? [] : (answer.notes ?? [])) terminal.remark(note);
    process.exitCode = answer.ok === false ? EXIT.failed : EXIT.ok;
  } finally {
    const deadline = Deadline.after(STOP_MS);
    await Promise.allSettled([parts.redisService.stop(deadline), parts.database.stop(deadline)]);
  }
  // Exits even if the app's own code has left a handle open.
  process.exit();
}

async function connect(app: AppDefinition, config: Config, terminal: Terminal, { needs }: JobCommand) {
  const registry = loadJobs(app.jobsDir);
  registry.add(DeliverMailJob);
  const equipment = { setup: await loadJobSetup(app), models: new ModelFolder(app.modelsDir) };
  const urls = await resolvedUrls(config);
  const events = new Events();
  const production = config.environment === 'production';
  const database = new Database(urls.database, { production, events, poolMax: 2 });
  const redis = new Redis(urls.redis, events);
  await Promise.all([
    needs.includes('redis') && reachRedis(redis, urls.redis, events, 'Nothing done'),
    needs.includes('postgres') && connectOrFail(database, 'Nothing done'),
  ]);
  // Subscribed only now: earlier failures are reported once, by the error that they cause.
  const log = logOf(config);
  logEvents(events, createLogger({ log }, 'cli', openLogDestination(log, 2), new LogFilter(events)));
  events.emit('setup.loaded', { filterArguments: equipment.setup.filterArguments ?? [] });
  const actions = new OperatorActions(redis, events);
  actions.listen();
  Model.knex(database.knex);
  connectTransactions(database.knex, (model) => events.emit('query.left-transaction', { model }));
  connectJobs({ database, redis, events, ...equipment });
  return {
    redis: redis.client,
    redisService: redis,
    actions,
    database,
    knex: database.knex,
    events,
    via: `cli:${userName()}` as const,
    queues: config.jobs.queues.map((queue) => queue.name),
    registry,
    equipment,
    terminal,
  };
}

function contextOf(parts: Awaited<ReturnType<typeof connect>>): CommandContext {
  const { redis, knex, events, via, registry, equipment, terminal } = parts;
  const queues = [...new Set([...parts.queues, ...[...registry].map((jobClass) => jobClass.queue)])];
  const adopt = async () => {
    const adopted = await adoptDatabase(knex, redis);
    if (adopted) events.emit('operator.adopted', { via });
    return adopted;
  };
  return { admin: new JobAdmin({ redis, knex, events, queues, via }), registry, equipment, terminal, adopt };
}

/** Logs to standard error; on a terminal only warnings, since the answer already says what was done. */
function logOf({ log }: Config): Config['log'] {
  const isTty = process.stderr.isTTY === true;
  return { level: isTty ? 'warn' : log.level, format: isTty ? 'pretty' : log.format, file: null };
}

function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    // In a container the user may have no name.
    return `user ${process.getuid?.()}`;
  }
}

/** Postgres's code for a missing table. */
const UNDEFINED_TABLE = '42P01';
/** Mistakes in code: their stack is more useful than a message. */
const MISTAKES = [TypeError, ReferenceError, RangeError, SyntaxError];

/** Converts an error into one that a person at a terminal can act on. */
export function explained(thrown: unknown): Error {
  const error: Error & { readonly code?: unknown } = toError(thrown);
  if (error instanceof UserError || MISTAKES.some((kind) => error instanceof kind)) return error;
  if (error.code === UNDEFINED_TABLE) {
    return new UserError("The database lacks tables of Catamount's: run catamount migrate.", EXIT.unavailable);
  }
  return Object.assign(new UserError(`It did not work, Redis or Postgres says: ${error.message}`), { cause: error });
}
