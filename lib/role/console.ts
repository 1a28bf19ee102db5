import path from 'node:path';
import repl from 'node:repl';
import type { Config } from '../core/config';
import { EXIT, UserError } from '../core/errors';
import { performAllLater } from '../job/job';
import { loadJobs } from '../job/job-registry';
import { loadMailers } from '../mailer/mailer-registry';
import { loadModels } from '../model/model-lookup';
import { transaction } from '../model/transaction';
import type { AppDefinition } from './app-definition';
import { AppConnection } from './connection';

/**
 * `catamount console`: Node's REPL with the app's models, jobs and mailers by name, and `knex`, `transaction` and
 * `performAllLater`. `await` works at its top level. It ends with its input.
 * @throws UserError when Redis or Postgres does not answer.
 */
export async function runConsole(
  app: AppDefinition,
  args: readonly string[],
  readConfig: () => Promise<Config>,
): Promise<void> {
  if (args.length > 0) throw new UserError(`console takes no argument; "${args.join(' ')}" is too much.`, EXIT.usage);
  const config = await readConfig();
  const connection = await AppConnection.open(app, config, { as: 'console', doing: 'There is no console' });
  const models = loadModels(app.modelsDir);
  const jobs = [...loadJobs(app.jobsDir)];
  const mailers = [...loadMailers(app.mailersDir)];
  const classes = Object.fromEntries([...models.values(), ...jobs, ...mailers].map((each) => [each.name, each]));
  const isTty = process.stdin.isTTY === true;
  if (isTty) {
    const names = Object.keys(classes).join(', ') || 'no classes';
    process.stdout.write(`${app.name}, ${config.environment}: ${names}; knex, transaction, performAllLater\n`);
  }
  // With a context of its own, a Date or an array that is typed would be none for the code of the app.
  const server = repl.start({ prompt: isTty ? `${app.name}> ` : '', useGlobal: true, terminal: isTty });
  Object.assign(server.context, classes, { knex: connection.database.knex, transaction, performAllLater });
  if (isTty) server.setupHistory(path.join(config.stateDir, 'console-history'), () => undefined);
  await new Promise<void>((resolve) => server.once('exit', resolve));
  await connection.disconnect();
  process.exit();
}
