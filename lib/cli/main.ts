#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { EXIT, toError, UserError } from '../core/errors';
import { version } from '../core/version';
import { runApp } from './app-entry';
import { help } from './help';

/** What the app's own entry file does, by `boot`. */
const APP_COMMANDS = ['start', 'migrate', 'rollback'];

const OPTIONS = {
  state: { type: 'string', short: 'S' },
  socket: { type: 'string', short: 'C' },
  token: { type: 'string', short: 'T' },
  json: { type: 'boolean' },
  only: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [command = 'start'] = positionals;
  if (command === 'help' || values.help) process.stdout.write(help());
  else if (command === 'version' || values.version) process.stdout.write(`${version()}\n`);
  else if (APP_COMMANDS.includes(command)) runApp();
  else {
    // Loaded when needed: a tree that runs for months need not hold what asks other trees.
    const { control } = await import('./control');
    await control(positionals, values);
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UserError(`${toError(error).message}\nSee catamount help.`, EXIT.usage);
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
});
