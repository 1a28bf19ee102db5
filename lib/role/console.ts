import path from 'node:path';
import readline from 'node:readline';
import repl from 'node:repl';
import { PassThrough } from 'node:stream';
import { setImmediate as afterRead } from 'node:timers/promises';
import type { Config } from '../core/config';
import { EXIT, UserError } from '../core/errors';
import { performAllLater } from '../job/job';
import { loadJobs } from '../job/job-registry';
import { loadMailers } from '../mailer/mailer-registry';
import { transaction } from '../model/transaction';
import { deferred } from '../support/async';
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
  const jobs = [...(await loadJobs(app.jobsDir, app))];
  const mailers = [...(await loadMailers(app.mailersDir, app))];
  const classes = Object.fromEntries(
    [...connection.models.values(), ...jobs, ...mailers].map((each) => [each.name, each]),
  );
  const isTty = process.stdin.isTTY === true;
  if (isTty) {
    const names = Object.keys(classes).join(', ') || 'no classes';
    process.stdout.write(`${app.name}, ${config.environment}: ${names}; knex, transaction, performAllLater\n`);
  }
  // With a context of its own, a Date or an array that is typed would be none for the code of the app.
  const piped = isTty ? undefined : new PassThrough();
  const options = { useGlobal: true, terminal: isTty, output: process.stdout };
  const server = repl.start({ ...options, prompt: isTty ? `${app.name}> ` : '', input: piped ?? process.stdin });
  Object.assign(server.context, classes, { knex: connection.database.knex, transaction, performAllLater });
  if (isTty) server.setupHistory(path.join(config.stateDir, 'console-history'), () => undefined);
  const ended = new Promise<void>((resolve) => server.once('exit', resolve));
  if (piped) await feed(server, piped);
  await ended;
  await connection.disconnect();
  process.exit();
}

/**
 * Hands over standard input line by line, each after the one before has been evaluated: at the end of its input a REPL
 * says that it has ended although lines with an `await` are still to come.
 */
async function feed(server: repl.REPLServer, input: PassThrough): Promise<void> {
  let evaluated: Promise<void> = Promise.resolve();
  const evaluate = server.eval;
  const observed: typeof evaluate = function (this: repl.REPLServer, code, context, file, done) {
    const { promise, resolve } = deferred();
    evaluated = promise;
    evaluate.call(this, code, context, file, (error, result) => {
      done(error, result);
      resolve();
    });
  };
  Object.assign(server, { eval: observed });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    input.write(`${line}\n`);
    // Its evaluation begins once the line has been read.
    await afterRead();
    await evaluated;
  }
  input.end();
}
