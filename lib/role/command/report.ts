import { EXIT } from '../../core/errors';
import { asSentence } from '../../core/finding';
import type { FindingWithId } from '../checks/all-checks';

/**
 * Prints what `check` or `doctor` has found, and exits: with 1 if anything is wrong.
 * @param lines what is printed without `--json`.
 */
export async function report(
  found: readonly FindingWithId[],
  json: boolean | undefined,
  lines: (wrong: readonly FindingWithId[], notes: readonly string[]) => readonly string[],
): Promise<never> {
  const wrong = found.filter(({ severity }) => severity !== 'note');
  const notes = found.filter(({ severity }) => severity === 'note').map(asSentence);
  const findings = wrong.map(({ id, severity, text, remedy }) => ({ id, severity, finding: text, what_to_do: remedy }));
  const text = json ? JSON.stringify({ findings, notes }, null, 2) : lines(wrong, notes).join('\n');
  await new Promise<void>((resolve) => process.stdout.write(`${text}\n`, () => resolve()));
  // Exits even if the app's own code has left a handle open.
  process.exit(wrong.length === 0 ? EXIT.ok : EXIT.failed);
}
