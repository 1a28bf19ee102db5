import os from 'node:os';
import type { Config } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import { JobAdmin } from '../../job/admin/job-admin';
import type { CommandContext, JobCommand } from '../../job/cli/command';
import { jobsHelp, parseJobCommand } from '../../job/cli/commands';
import { Terminal } from '../../job/cli/terminal';
import { loadJobs } from '../../job/job-registry';
import { adoptDatabase } from '../../job/row/installation';
import { DeliverMailJob } from '../../mailer/message';
import { toError } from '../../support/async';
import { OperatorActions } from '../../tree/operator-actions';
import type { AppDefinition } from '../app/app-definition';
import { AppConnection } from '../connect/connection';

/**
 * `catamount jobs …`: inspects, changes or enqueues jobs, then exits. It uses the app's own classes, setup and argument
 * filters; no tree has to run.
 * @throws UserError for wrong usage, for anything not found, and when the server that the command needs is unavailable.
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
    await parts.connection.disconnect();
  }
  // Exits even if the app's own code has left a handle open.
  process.exit();
}

async function connect(app: AppDefinition, config: Config, terminal: Terminal, { needs }: JobCommand) {
  const registry = await loadJobs(app.jobsDir, app);
  registry.add(DeliverMailJob);
  const connection = await AppConnection.open(app, config, {
    as: 'cli',
    doing: 'Nothing done',
    needs: needs ?? 'postgres',
  });
  const { redis, events, database, setup, models } = connection;
  const actions = new OperatorActions(redis, events);
  actions.listen();
  return {
    redis: redis.client,
    connection,
    actions,
    knex: database.knex,
    events,
    via: `cli:${userName()}` as const,
    queues: config.jobs.queues.map((queue) => queue.name),
    registry,
    equipment: { setup, models },
    terminal,
  };
}

function contextOf(parts: Awaited<ReturnType<typeof connect>>): CommandContext {
  const { redis, knex, events, via, registry, equipment, terminal } = parts;
  const queues = [...new Set([...parts.queues, ...[...registry].map((jobClass) => jobClass.queue)])];
  const adopt = async () => {
    const adopted = await adoptDatabase(knex);
    if (adopted) events.emit('operator.adopted', { via });
    return adopted;
  };
  return { admin: new JobAdmin({ redis, knex, events, queues, via }), registry, equipment, terminal, adopt };
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
    return new UserError("The database lacks Catamount's tables: run catamount db migrate.", EXIT.unavailable);
  }
  return Object.assign(new UserError(`It did not work, Redis or Postgres says: ${error.message}`), { cause: error });
}
