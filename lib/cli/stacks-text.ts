import type { ProcessStacks } from '../cluster/status';
import { formatElapsed } from '../support/duration';

/** The text that `catamount stacks` prints without `--json`. */
export function stacksText(stacks: readonly ProcessStacks[]): string {
  return stacks.map((one) => `${processLines(one).join('\n')}\n`).join('\n');
}

function processLines({ process, pid, threads, failure, inFlight }: ProcessStacks): string[] {
  const work = inFlight.map(({ what, ageMs }) => `${what} (${formatElapsed(ageMs)})`).join(', ');
  const lines = [`${process}, pid ${pid}${work === '' ? '' : `, in flight: ${work}`}`];
  if (failure !== null) return [...lines, `  cannot be asked: ${failure}`];
  if (threads.length === 0) return [...lines, '  runs no JavaScript at this moment'];
  return [
    ...lines,
    ...threads.flatMap(({ thread, frames }) => [`  ${thread}`, ...frames.map((frame) => `    ${frame}`)]),
  ];
}
