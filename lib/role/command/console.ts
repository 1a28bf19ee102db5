import path from 'node:path';
import readline from 'node:readline';
import repl from 'node:repl';
import { PassThrough } from 'node:stream';
import { broadcast } from '../../broadcast/broadcast';
import { readArguments } from '../../core/command-line';
import { performAllLater } from '../../job/job';
import { loadJobs } from '../../job/job-registry';
import { loadMailers } from '../../mailer/mailer-registry';
import { transaction } from '../../model/transaction';
import { deferred } from '../../support/deferred';
import type { AppCommand } from '../app/app-command';
import { AppConnection } from '../connect/connection';

/**
 * `catamount console`: Node's REPL with the app's models, jobs and mailers by name, and `knex`, `transaction`,
 * `performAllLater` and `broadcast`. `await` works at its top level. It ends with its input.
 * @throws UserError for any argument, and when Redis or Postgres does not answer.
 */
export const runConsole: AppCommand = async (app, args, readConfig) => {
  readArguments('console', { args });
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
    process.stdout.write(
      `${app.name}, ${config.environment}: ${names}; knex, transaction, performAllLater, broadcast\n`,
    );
  }
  // With a context of its own, a Date or an array that is typed would fail the app's `instanceof` checks.
  const piped = isTty ? undefined : new PassThrough();
  const options = { useGlobal: true, terminal: isTty, output: process.stdout };
  const server = repl.start({ ...options, prompt: isTty ? `${app.name}> ` : '', input: piped ?? process.stdin });
  Object.assign(server.context, classes, { knex: connection.database.knex, transaction, performAllLater, broadcast });
  if (isTty) server.setupHistory(path.join(config.stateDir, 'console-history'), () => undefined);
  const ended = new Promise<void>((resolve) => server.once('exit', resolve));
  if (piped) await feed(server, piped, ended);
  await ended;
  await connection.settled();
  await connection.disconnect();
  process.exit();
};

/**
 * Feeds standard input to the REPL line by line, each after the previous one has been evaluated. Otherwise a REPL emits `exit`
 * at the end of its input although lines with an `await` have yet to run. The prompt shows that an evaluation is over, also a
 * failed one, for which a REPL calls nothing else.
 */
async function feed(server: repl.REPLServer, input: PassThrough, ended: Promise<void>): Promise<void> {
  let asked = deferred();
  const { displayPrompt } = server;
  server.displayPrompt = (preserveCursor) => {
    displayPrompt.call(server, preserveCursor);
    asked.resolve();
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    asked = deferred();
    input.write(`${line}\n`);
    const end = await Promise.race([asked.promise, ended.then(() => 'ended' as const)]);
    if (end === 'ended') return;
  }
  input.end();
}
