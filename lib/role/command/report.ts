import { EXIT } from '../../core/errors';
import { asSentence, type Finding } from '../../core/finding';

/** Prints what a command has found, and exits: with 1 if anything is wrong. */
export async function report<F extends Finding>(
  found: readonly F[],
  print: (wrong: readonly F[], notes: readonly string[]) => string,
): Promise<never> {
  const wrong = found.filter(({ severity }) => severity !== 'note');
  const notes = found.filter(({ severity }) => severity === 'note').map(asSentence);
  await new Promise<void>((resolve) => process.stdout.write(`${print(wrong, notes)}\n`, () => resolve()));
  // Exits even if the app's own code has left a handle open.
  process.exit(wrong.length === 0 ? EXIT.ok : EXIT.failed);
}
