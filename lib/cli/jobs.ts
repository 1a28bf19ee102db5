import { EXIT, UserError } from '../core/errors';
import { parseJobCommand } from '../job/cli/commands';
import { runApp } from './app-entry';
import { control } from './control';

/**
 * What is typed behind `jobs`: `quiet`, and `resume` without a queue, are orders for the running tree's job processor;
 * all else the app's own entry file does, by `boot`.
 * @param words those without a dash.
 */
export function isForTheTree([first, queue]: readonly string[]): boolean {
  return queue === undefined && (first === 'quiet' || first === 'resume');
}

/** Who means a queue learns how that is typed. @throws UserError. */
export async function orderTree(words: readonly string[], flags: Parameters<typeof control>[1]): Promise<void> {
  try {
    await control(words, flags);
  } catch (error) {
    if (!(error instanceof UserError) || words[1] !== 'resume') throw error;
    throw new UserError(`${error.message}\nFor a paused queue: jobs resume QUEUE.`, error.exitCode);
  }
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
  if (typed.help) process.stdout.write((await import('../job/cli/commands')).jobsHelp(typed.command));
  else runApp(['jobs', ...args]);
}
