import { EXIT, UserError } from '../core/errors';
import { parseJobCommand } from '../job/command/parse';
import { runApp } from './app-entry';

/**
 * What is typed behind `jobs`: `quiet`, and `resume` without a queue, are orders for the running tree's job processor;
 * all else the app's own entry file does, by `boot`.
 * @param words those without a dash.
 */
export function isForTheTree([first, queue]: readonly string[]): boolean {
  return queue === undefined && (first === 'quiet' || first === 'resume');
}

/** @throws UserError for wrong usage, whether there is an app or not. */
export async function runJobs(args: readonly string[]): Promise<void> {
  const [first, queue] = args;
  if (first === 'quiet' && queue !== undefined && !queue.startsWith('-')) {
    throw new UserError(
      `jobs quiet is for the whole job processor, and takes no queue. For one queue: jobs pause ${queue}.`,
      EXIT.usage,
    );
  }
  const typed = parseJobCommand(args);
  if (typed.help) process.stdout.write((await import('../job/command/help')).jobsHelp(typed.command));
  else runApp(['jobs', ...args]);
}
