import { parseArgs } from 'node:util';
import { toError } from '../../core/errors';
import { closest } from '../../support/closest';
import { type JobCommand, type Run, usageOf } from './command';
import { JOB_COMMANDS } from './commands';
import { OPTIONS, type OptionName, type Options, wrongUsage } from './options';

/** What was typed behind `jobs`. */
export type Typed =
  | { readonly help: true; readonly command: JobCommand | undefined }
  | { readonly help: false; readonly command: JobCommand; readonly run: Run; readonly json: boolean };

const SEE = 'See catamount jobs --help.';
/** What is asked of a running tree (control/commands), not of the app. */
const OF_THE_TREE = ['quiet'];
const FOR_ALL: readonly OptionName[] = ['json', 'help'];

/** @throws UserError, exit code 64, that names what is wrong and, where one is near, what was probably meant. */
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
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (thrown) {
    const { message } = toError(thrown);
    const unknown = /^Unknown option '-*([^']+)'/.exec(message)?.[1];
    if (unknown === undefined) throw wrongUsage(`${message}\n${SEE}`);
    const near = closest(unknown, Object.keys(OPTIONS));
    throw wrongUsage(`There is no option --${unknown}.${near === undefined ? '' : ` Did you mean --${near}?`} ${SEE}`);
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
  const near = closest(word, known);
  const meant = near === undefined ? '' : ` Did you mean jobs ${group}${near}?`;
  return wrongUsage(`"jobs ${group}${word}" is no command.${meant} ${SEE}`);
}

function checkOptions(command: JobCommand, values: Options): void {
  const allowed = [...command.options, ...FOR_ALL];
  const surplus = (Object.keys(values) as OptionName[]).find((name) => !allowed.includes(name));
  if (surplus) throw wrongUsage(`--${surplus} is no option of jobs ${command.name}. ${SEE}`);
}

function checkOperands(command: JobCommand, given: readonly string[]): void {
  const { operands } = command;
  const missing = operands.filter((operand) => !operand.optional)[given.length];
  if (missing) throw wrongUsage(`${missing.name} is missing: ${usageOf(command)}${hint(command)}. ${SEE}`);
  const surplus = operands.some((operand) => operand.repeated) ? [] : given.slice(operands.length);
  if (surplus.length > 0) throw wrongUsage(`"${surplus.join(' ')}" is too much: ${usageOf(command)}. ${SEE}`);
}

/** A whole processor and one queue are easily mistaken for each other. */
function hint({ name }: JobCommand): string {
  if (name === 'pause') return ' (for the whole job processor: jobs quiet)';
  return name === 'resume' ? ' (for the whole job processor: catamount jobs resume, asked of a running tree)' : '';
}
