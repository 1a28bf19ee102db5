#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { version } from '../core/config';
import { requireNode, UserError } from '../core/errors';
import { runApp } from './app/app-entry';
import { CLI_COMMANDS } from './cli-commands';

/** Options of every command that uses the running tree, all with a value. */
const PLACE = {
  state: { type: 'string', short: 'S' },
  socket: { type: 'string', short: 'C' },
  token: { type: 'string', short: 'T' },
  only: { type: 'string' },
} as const;
const TO_THE_TREE = { ...PLACE, json: { type: 'boolean' } } as const;

const HELP = ['--help', '-h'];
const VERSION = ['--version', '-v'];

// Modules are loaded on demand: a tree that runs for months should not retain code that prints or queries other trees.
async function main(args: string[]): Promise<void> {
  const [first = 'start', topic] = readWords(args);
  if (first === 'jobs') return jobs(args);
  const command = CLI_COMMANDS.find(({ name }) => name === (first === 'help' ? topic : first));
  // What follows a script belongs to the script.
  const commandArgs = first === 'run' ? args.slice(0, 2) : args;
  const asksHelp = first === 'help' || commandArgs.some((each) => HELP.includes(each));
  const asksHelpOrVersion = asksHelp || commandArgs.some((each) => VERSION.includes(each));
  if (command?.run && (!asksHelpOrVersion || command.printsOwnHelp)) {
    const own = without(args, command.name);
    return command.run(first === 'help' ? ['--help', ...without(own, 'help')] : own);
  }
  if (!asksHelpOrVersion && command?.inApp === true) return runApp();
  if (asksHelp) process.stdout.write(await helpFor(readWords(args)));
  else if (asksHelpOrVersion || first === 'version') process.stdout.write(`${version()}\n`);
  else if (first === 'top') await runTop(args);
  else await sendCommand(args);
}

async function sendCommand(args: string[]): Promise<void> {
  const { commandNamed, control } = await import('./control');
  const { readArguments } = await import('../core/command-line');
  // The name is checked first: an unknown command has no options that could be wrong.
  const { name, options: own = [] } = await commandNamed(readWords(args));
  const further = Object.fromEntries(own.map(([usage]) => [usage.slice(2).split(' ')[0], { type: 'string' as const }]));
  const options = { ...TO_THE_TREE, ...further };
  const { values, positionals } = readArguments(name, { args, options, allowPositionals: true });
  await control(positionals, values);
}

async function helpFor(words: readonly string[]): Promise<string> {
  const { help, helpOn } = await import('./help');
  const about = words[0] === 'help' ? words.slice(1) : words;
  return about.length === 0 ? help() : helpOn(about);
}

async function runTop(args: string[]): Promise<void> {
  const { readArguments } = await import('../core/command-line');
  const { values } = readArguments('top', { args: without(args, 'top'), options: PLACE });
  await (await import('./top')).top(values);
  // A request to Redis or Postgres may still be open, but nobody needs its reply any more.
  process.exit();
}

/** `jobs` has its own options, except for the commands that are sent to the running tree. */
async function jobs(args: string[]): Promise<void> {
  const [, ...words] = readWords(args);
  const { isForTheTree, orderTree, runJobs } = await import('./jobs');
  const { readArguments } = await import('../core/command-line');
  if (isForTheTree(words) && !args.some((each) => HELP.includes(each))) {
    const config = { args, options: TO_THE_TREE, allowPositionals: true } as const;
    const { values, positionals } = readArguments(`jobs ${words[0]}`, config);
    return orderTree(positionals, values);
  }
  await runJobs(without(args, 'jobs'));
}

/** @returns the arguments without the first occurrence of a word. */
function without(args: readonly string[], word: string): string[] {
  return args.toSpliced(args.indexOf(word), 1);
}

/** @returns the arguments except options, and except the values of the options that are known here. */
function readWords(args: string[]): string[] {
  return parseArgs({ args, options: PLACE, allowPositionals: true, strict: false }).positionals;
}

requireNode();
main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
});
