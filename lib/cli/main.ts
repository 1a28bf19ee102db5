#!/usr/bin/env node
import { parseArgs } from 'node:util';
import type { TreeFlags } from '../cluster/control/running-tree';
import { version } from '../core/config';
import { EXIT, requireNode, UserError } from '../core/errors';
import { toError } from '../support/async';
import { runApp } from './app-entry';
import { CLI_COMMANDS } from './commands';

const OPTIONS = {
  state: { type: 'string', short: 'S' },
  socket: { type: 'string', short: 'C' },
  token: { type: 'string', short: 'T' },
  json: { type: 'boolean' },
  only: { type: 'string' },
  'allow-pending': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

const ASKING = ['--help', '-h', '--version', '-v'];

// Modules are loaded by need: a tree that runs for months should not keep the code that prints or queries other trees.
async function main(args: string[]): Promise<void> {
  const [first = 'start', topic] = wordsOf(args);
  if (first === 'jobs') return jobs(args);
  const own = CLI_COMMANDS.find(({ name }) => name === (first === 'help' ? topic : first));
  const asks = first === 'help' || (first === 'run' ? args.slice(0, 2) : args).some((each) => ASKING.includes(each));
  if (own?.run && (!asks || own.details === undefined))
    return own.run(first === 'help' ? ['--help', ...behind(behind(args, 'help'), own.name)] : behind(args, own.name));
  if (!asks && own?.inApp === true) return runApp();
  const { values, positionals } = parse(args);
  const [command = 'start'] = positionals;
  if (command === 'help' || values.help) process.stdout.write(await helpFor(positionals));
  else if (command === 'version' || values.version) process.stdout.write(`${version()}\n`);
  else if (command === 'top') await topOf(positionals, values);
  else await (await import('./control')).control(positionals, values);
}

async function helpFor(words: readonly string[]): Promise<string> {
  const { help, helpOn } = await import('./help');
  const about = words[0] === 'help' ? words.slice(1) : words;
  return about.length === 0 ? help() : helpOn(about);
}

async function topOf([, surplus]: string[], flags: TreeFlags): Promise<void> {
  if (surplus !== undefined) throw new UserError(`"${surplus}" is too much. See catamount help.`, EXIT.usage);
  await (await import('./top/top')).top(flags);
  // A request to Redis or Postgres may still be open, and nobody waits for its reply.
  process.exit();
}

/** `jobs` has options of its own, except for the commands that go to the running tree. */
async function jobs(args: string[]): Promise<void> {
  const [, ...words] = wordsOf(args);
  const { isForTheTree, orderTree, runJobs } = await import('./jobs');
  if (isForTheTree(words) && !args.includes('--help') && !args.includes('-h')) {
    const { values, positionals } = parse(args);
    return orderTree(positionals, values);
  }
  await runJobs(behind(args, 'jobs'));
}

/** The arguments without the first that is this word. */
function behind(args: readonly string[], word: string): string[] {
  return args.toSpliced(args.indexOf(word), 1);
}

/** The arguments without options, and without the values of the options that are known here. */
function wordsOf(args: string[]): string[] {
  return parseArgs({ args, options: OPTIONS, allowPositionals: true, strict: false }).positionals;
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UserError(`${toError(error).message}\nSee catamount help.`, EXIT.usage);
  }
}

requireNode();
main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
});
