import { type JobCommand, usageOf } from './command';
import { JOB_COMMANDS } from './commands';
import { OPTIONS, type OptionName } from './options';

const FOR_ALL: readonly OptionName[] = ['json', 'help'];

/** What `catamount jobs --help` prints, or that of one command. */
export function jobsHelp(command?: JobCommand): string {
  if (command) {
    return `Usage: catamount ${usageOf(command)}${command.options.length > 0 ? ' [options]' : ''}

${sentence(command.help)}

${optionLines([...command.options, ...FOR_ALL])}
`;
  }
  return `Usage: catamount jobs COMMAND [options]

${lines(JOB_COMMANDS.map((one) => [usageOf(one), one.help]))}

These are asked of the tree that runs here: jobs quiet, jobs resume (the whole job processor).
The others look into Redis and Postgres themselves, whether the tree runs or not.

${optionLines(Object.keys(OPTIONS) as OptionName[])}

Exit codes: 0 done, 1 not found or failed, 64 wrong usage, 69 Redis or Postgres is not there.
`;
}

/** The commands with a line each, as `catamount help` has them. */
export function jobCommandLines(): (readonly [string, string])[] {
  return JOB_COMMANDS.map((command) => [usageOf(command), command.help]);
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
