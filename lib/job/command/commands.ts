import { ADOPT } from './adopt';
import { type JobCommand, usageOf } from './command';
import { CRON } from './cron-commands';
import { ENQUEUE } from './enqueue';
import { LIST } from './list';
import { MOVES } from './moves';
import { PROCESSES } from './process-commands';
import { CLEAR, PAUSE, RESUME } from './queue-commands';
import { SHOW } from './show';
import { STATS } from './stats';

/** THE table of the commands behind `jobs`: the parser, the help and the README are all made from it. */
export const JOB_COMMANDS: readonly JobCommand[] = [
  STATS,
  LIST,
  SHOW,
  ...MOVES,
  ENQUEUE,
  ...CRON,
  ...PROCESSES,
  PAUSE,
  RESUME,
  CLEAR,
  ADOPT,
];

/** The table as Markdown, for the README. */
export function jobCommandTable(): string {
  const rows = JOB_COMMANDS.map((command) => `| \`catamount ${usageOf(command)}\` | ${command.help} |`);
  return ['| command | what it does |', '|---|---|', ...rows].join('\n');
}
