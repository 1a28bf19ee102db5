import { commandUsage, TREE_COMMANDS } from '../cluster/control/commands';
import { version } from '../core/config';
import { EXIT, UserError } from '../core/errors';
import { jobCommandLines, jobsHelp, parseJobCommand } from '../job/cli/commands';
import { didYouMean } from '../support/did-you-mean';
import { ENTRIES } from './app/app-entry';
import { CLI_COMMANDS } from './cli-commands';

const OPTIONS: readonly (readonly [string, string])[] = [
  ['-S, --state FILE', 'the state file of the tree (STATE_FILE, else .catamount/state.json)'],
  ['-C, --socket PATH', 'its control socket, instead of the one in the state file'],
  ['-T, --token TOKEN', 'its token, instead of the one in the state file'],
  ['--only web|jobs', 'the tree that was started with this option'],
  ['--json', 'print the reply as JSON'],
];

/** The text that `catamount help` prints. */
export function help(): string {
  return `Catamount ${version()}: Koa web workers, a job processor and mail as one process tree.

Usage: catamount [command] [--only web|jobs]

${lines(CLI_COMMANDS.map(({ name, summary }) => [name, summary]))}

The app is the first of ${ENTRIES.join(', ')} in the current folder.

Commands to the tree that runs here (a signal named in brackets, sent to the primary, does the same):

${lines(TREE_COMMANDS.map((command) => [commandUsage(command), `${command.help}${signals(command.signals)}`]))}

${lines(OPTIONS)}

Commands on jobs, whether or not the tree runs (catamount jobs --help lists their options):

${lines(jobCommandLines(), 30)}

Exit codes: 0 done, 1 refused or failed, 64 wrong usage, 69 no tree runs here or a server does not answer, 78 a setting or the app is wrong.
status: 2 something needs attention, 3 something is bad.
`;
}

/**
 * The text that `catamount help COMMAND` prints.
 * @throws UserError, a usage error, if there is no such command.
 */
export function helpOn(words: readonly string[]): string {
  const text = words.join(' ');
  const own = CLI_COMMANDS.find(({ name }) => name === words[0]);
  if (own) return page([own.name, own.usage], own.summary, own.details ?? '');
  const tree = TREE_COMMANDS.find(({ name }) => name === text || name === words[0]);
  if (tree)
    return page(
      [commandUsage(tree), '[options]'],
      `${tree.help}${signals(tree.signals)}`,
      lines([...(tree.options ?? []), ...OPTIONS]),
    );
  if (words[0] !== 'jobs') throw noCommand(text);
  return jobsHelp(words.length === 1 ? undefined : parseJobCommand([...words.slice(1), '--help']).command);
}

/** @returns an error that says that there is no such command, and what may have been meant. */
export function noCommand(text: string): UserError {
  const names = [...CLI_COMMANDS, ...TREE_COMMANDS].map(({ name }) => name);
  const meant = didYouMean(text.split(' ')[0] ?? '', [...names, 'jobs']);
  const hint = meant === undefined ? '' : `Did you mean ${meant}? `;
  return new UserError(`"${text}" is not a command. ${hint}See catamount help.`, EXIT.usage);
}

function page(usage: readonly string[], summary: string, details: string): string {
  return `Usage: catamount ${usage.filter((part) => part !== '').join(' ')}\n\n${summary}\n\n${details}\n`;
}

function signals(names: readonly string[]): string {
  return names.length === 0 ? '' : ` (${names.join(', ')})`;
}

function lines(rows: readonly (readonly [string, string])[], width = 18): string {
  return rows.map(([left, right]) => `  ${left.padEnd(width)} ${right}`).join('\n');
}
