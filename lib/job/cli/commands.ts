import { parseArgs } from 'node:util';
import { wrongArguments } from '../../core/command-line';
import { toError } from '../../support/to-error';
import { BATCH } from './batches';
import { CANCEL } from './cancel';
import {
  describeUsage,
  type JobCommand,
  OPTIONS,
  type OptionName,
  type Options,
  type Run,
  suggestion,
  wrongUsage,
} from './command';
import { CRON, ENQUEUE } from './enqueue';
import { LIST } from './list';
import { MOVES } from './moves';
import { ADOPT, CLEAR, PAUSE, RESUME, STATS } from './queues';
import { SHOW } from './show';

/** The single table of commands of `jobs`: the parser, the help and lib/job/cli/README.md are made from it. */
export const JOB_COMMANDS: readonly JobCommand[] = [
  STATS,
  LIST,
  SHOW,
  ...MOVES,
  CANCEL,
  ENQUEUE,
  ...CRON,
  ...BATCH,
  PAUSE,
  RESUME,
  CLEAR,
  ADOPT,
];

/** The parsed words after `jobs`. */
export type Typed =
  | { readonly help: true; readonly command: JobCommand | undefined }
  | { readonly help: false; readonly command: JobCommand; readonly run: Run; readonly json: boolean };

const SEE = 'See catamount jobs --help.';
/** Commands of the running tree (cluster/control/commands), known here only for suggestions. */
const OF_THE_TREE = ['quiet'];
const FOR_ALL: readonly OptionName[] = ['json', 'help'];

/** @throws UserError with the exit code for wrong usage; it names the mistake, with a suggestion where one is near. */
export function parseJobCommand(args: readonly string[]): Typed {
  const { values, positionals } = parse(args);
  if (values.help) return { help: true, command: positionals.length === 0 ? undefined : find(positionals).command };
  if (positionals.length === 0) throw wrongUsage(`jobs needs a command. ${SEE}`);
  const { command, operands } = find(positionals);
  checkOptions(command, values);
  checkOperands(command, operands);
  return { help: false, command, run: command.prepare({ operands, options: values }), json: values.json === true };
}

function parse(args: readonly string[]): { readonly values: Options; readonly positionals: readonly string[] } {
  const config = { args, options: OPTIONS, allowPositionals: true } as const;
  try {
    return parseArgs(config);
  } catch (thrown) {
    const unknown = /^Unknown option '-*([^']+)'/.exec(toError(thrown).message)?.[1];
    if (unknown === undefined) throw wrongArguments('jobs', config, thrown);
    throw wrongUsage(`There is no option --${unknown}.${suggestion(unknown, Object.keys(OPTIONS), '--')} ${SEE}`);
  }
}

function find(words: readonly string[]): { readonly command: JobCommand; readonly operands: readonly string[] } {
  const [first = '', second] = words;
  const alone = JOB_COMMANDS.find(({ name }) => name === first);
  if (alone) return { command: alone, operands: words.slice(1) };
  const group = JOB_COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length === 0) throw unknownCommand(first, [...firstWords(), ...OF_THE_TREE]);
  const command = group.find(({ name }) => name === `${first} ${second ?? 'list'}`);
  if (command) return { command, operands: words.slice(2) };
  const seconds = group.map(({ name }) => name.slice(first.length + 1));
  throw unknownCommand(second ?? '', seconds, `${first} `);
}

function firstWords(): string[] {
  return [...new Set(JOB_COMMANDS.map(({ name }) => name.split(' ')[0] ?? ''))];
}

function unknownCommand(word: string, known: readonly string[], group = '') {
  return wrongUsage(`There is no command "jobs ${group}${word}".${suggestion(word, known, `jobs ${group}`)} ${SEE}`);
}

function checkOptions(command: JobCommand, values: Options): void {
  const allowed = [...command.options, ...FOR_ALL];
  const surplus = (Object.keys(values) as OptionName[]).find((name) => !allowed.includes(name));
  if (surplus)
    throw wrongUsage(`jobs ${command.name} has no option --${surplus}. See catamount jobs ${command.name} --help.`);
}

function checkOperands(command: JobCommand, given: readonly string[]): void {
  const { operands } = command;
  const missing = operands.filter((operand) => !operand.optional)[given.length];
  if (missing) throw wrongUsage(`${missing.name} is missing. Usage: ${describeUsage(command)}${hint(command)}. ${SEE}`);
  const surplus = operands.some((operand) => operand.repeated) ? [] : given.slice(operands.length);
  if (surplus.length > 0)
    throw wrongUsage(
      `jobs ${command.name} does not take "${surplus.join(' ')}". Usage: ${describeUsage(command)}. ${SEE}`,
    );
}

/** The commands of a queue and of the whole job processor have the same names, so they are easily confused. */
function hint({ name }: JobCommand): string {
  if (name === 'pause') return ' (for the whole job processor: jobs quiet)';
  return name === 'resume' ? ' (for the whole job processor: catamount jobs resume, while the tree runs)' : '';
}

/** The text of `catamount jobs --help`, or the help of one command. */
export function jobsHelp(command?: JobCommand): string {
  if (command) {
    return `Usage: catamount ${describeUsage(command)}${command.options.length > 0 ? ' [options]' : ''}

${sentence(command.help)}

${optionLines([...command.options, ...FOR_ALL])}
`;
  }
  return `Usage: catamount jobs COMMAND [options]

${lines(JOB_COMMANDS.map((one) => [describeUsage(one), one.help]))}

The tree that runs here carries out jobs quiet, and jobs resume without QUEUE, for its whole job processor.
The other commands use Postgres themselves, and Redis where there is one, whether the tree runs or not.

${optionLines(Object.keys(OPTIONS) as OptionName[])}

Exit codes: 0 done, 1 not found or failed, 64 wrong usage, 69 Postgres is unavailable.
`;
}

/** The commands with one line each, for `catamount help`. */
export function jobCommandLines(): (readonly [string, string])[] {
  return JOB_COMMANDS.map((command) => [describeUsage(command), command.help]);
}

function optionLines(names: readonly OptionName[]): string {
  return lines(
    names.map((name) => {
      const option = OPTIONS[name];
      const short = 'short' in option ? `-${option.short}, ` : '';
      return [`${short}--${name}${'value' in option ? ` ${option.value}` : ''}`, option.help];
    }),
  );
}

function lines(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}
