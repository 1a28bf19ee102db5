import os from 'node:os';
import { EXIT, UserError } from '../../core/errors';
import { JobAdmin } from '../../job/admin/job-admin';
import type { CommandContext } from '../../job/cli/command';
import { jobsHelp, parseJobCommand } from '../../job/cli/commands';
import { Terminal } from '../../job/cli/terminal';
import { loadJobs } from '../../job/job-registry';
import { adoptDatabase } from '../../job/row/installation';
import { DeliverMailJob } from '../../mailer/deliver-mail-job';
import { AuditLog } from '../../ops/audit/audit-log';
import { toError } from '../../support/to-error';
import { listProcesses } from '../../tree/processors';
import type { AppCommand } from '../app/app-command';
import { AppConnection } from '../connect/connection';

/**
 * `catamount jobs …`: inspects, changes or enqueues jobs, then exits. It uses the app's own classes, setup and argument
 * filters; no tree has to run.
 * @throws UserError for wrong usage, for anything not found, and when the server that the command needs is unavailable.
 */
export const runJobsCommand: AppCommand = async (app, args, readConfig) => {
  const typed = parseJobCommand(args);
  const terminal = new Terminal();
  if (typed.help) return terminal.print(jobsHelp(typed.command));
  const config = await readConfig();
  const registry = await loadJobs(app.jobsDir, app);
  registry.add(DeliverMailJob);
  const connection = await AppConnection.open(app, config, { as: 'cli', doing: 'Nothing done', needs: 'postgres' });
  const { redis, events, setup, models } = connection;
  const { knex } = connection.database;
  const via = `cli:${userName()}` as const;
  const classes = [...registry].flatMap(({ queue }) => (typeof queue === 'function' ? [] : queue));
  const queues = [...new Set([...config.jobs.queues.map(({ name }) => name), ...classes])];
  const adopt = async () => {
    const adopted = await adoptDatabase(knex);
    if (adopted) events.emit('operator.adopted', { via });
    return adopted;
  };
  const audit = new AuditLog(knex, events).follow();
  const admin = new JobAdmin({
    processes: redis.isOff ? undefined : () => listProcesses(redis.client),
    knex,
    events,
    queues,
    via,
  });
  const context: CommandContext = { admin, registry, equipment: { setup, models }, terminal, adopt };
  try {
    const answer = await typed.run(context).catch((error: unknown) => {
      throw explained(error);
    });
    await terminal.print(typed.json ? `${JSON.stringify(answer.json, null, 2)}\n` : answer.text);
    for (const note of typed.json ? [] : (answer.notes ?? [])) terminal.remark(note);
    process.exitCode = answer.ok === false ? EXIT.failed : EXIT.ok;
  } finally {
    await audit.recorded();
    await connection.disconnect();
  }
  // Exits even if the app's own code has left a handle open.
  process.exit();
};

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
