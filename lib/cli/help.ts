import { COMMANDS, usageOf } from '../cluster/control/commands';
import { version } from '../core/config';
import { jobCommandLines } from '../job/cli/commands';
import { ENTRIES } from './app-entry';
import { CLI_COMMANDS } from './commands';

const OPTIONS: readonly (readonly [string, string])[] = [
  ['-S, --state FILE', 'the state file of the tree (STATE_FILE, else .catamount/state.json)'],
  ['-C, --socket PATH', 'its control socket, instead of the one in the state file'],
  ['-T, --token TOKEN', 'its token, instead of the one in the state file'],
  ['--json', 'print the answer as JSON'],
];

/** The text that `catamount help` prints. */
export function help(): string {
  return `Catamount ${version()}: Koa web workers, a job processor and mail as one process tree.

Usage: catamount [command] [--only web|jobs]

${lines(CLI_COMMANDS.map(({ name, summary }) => [name, summary]))}

The app is ${ENTRIES.join(' or ')} in the current folder.

To the tree that runs here (the same by a signal to the primary, where one is named):

${lines(COMMANDS.map((command) => [usageOf(command), `${command.help}${signals(command.signals)}`]))}

${lines(OPTIONS)}

To jobs, wherever they are, whether the tree runs or not (catamount jobs --help tells their options):

${lines(jobCommandLines(), 30)}

Exit codes: 0 done, 1 refused or failed, 64 wrong usage, 69 nothing runs here.
`;
}

function signals(names: readonly string[]): string {
  return names.length === 0 ? '' : ` (${names.join(', ')})`;
}

function lines(rows: readonly (readonly [string, string])[], width = 18): string {
  return rows.map(([left, right]) => `  ${left.padEnd(width)} ${right}`).join('\n');
}
