import { EXIT, UserError } from '../core/errors';
import { jobsHelp, parseJobCommand } from '../job/cli/commands';
import { runApp } from './app/app-entry';
import { control } from './control';

/**
 * `jobs quiet`, and `jobs resume` without a queue, are commands for the running tree's job processor. Every other jobs
 * command is run by the app's own entry file, through `boot`.
 * @param words the words after `jobs` that do not begin with a dash.
 */
export function isForTheTree([first, queue]: readonly string[]): boolean {
  return queue === undefined && (first === 'quiet' || first === 'resume');
}

/**
 * Sends `quiet` or `resume` to the running tree. An error of `resume` also explains how to resume a queue.
 * @throws UserError.
 */
export async function orderTree(words: readonly string[], flags: Parameters<typeof control>[1]): Promise<void> {
  try {
    await control(words, flags);
  } catch (error) {
    if (!(error instanceof UserError) || words[1] !== 'resume') throw error;
    throw new UserError(`${error.message}\nFor a paused queue: jobs resume QUEUE.`, error.exitCode);
  }
}

/** Runs a jobs command in the app. @throws UserError for wrong usage, even if there is no app. */
export async function runJobs(args: readonly string[]): Promise<void> {
  const [first, queue] = args;
  if (first === 'quiet' && queue !== undefined && !queue.startsWith('-')) {
    throw new UserError(
      `jobs quiet is for the whole job processor and takes no queue. For one queue: jobs pause ${queue}.`,
      EXIT.usage,
    );
  }
  const typed = parseJobCommand(args);
  if (typed.help) process.stdout.write(jobsHelp(typed.command));
  else await runApp(['jobs', ...args]);
}
