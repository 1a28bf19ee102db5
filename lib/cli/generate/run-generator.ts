import { readArguments } from '../../core/command-line';
import { EXIT, UserError } from '../../core/errors';
import { didYouMean } from '../../support/did-you-mean';
import { readLayout } from '../app/app-layout';
import type { askApp } from '../app/ask-app';
import { GENERATORS, type Generator } from './generators';
import { checkFiles, writeFiles } from './write-files';

const OPTIONS = {
  queue: { type: 'string' },
  'dry-run': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/**
 * `catamount generate …` writes files into the app in a folder.
 * @param args the words after `generate`. @param ask default: asks the app itself for its folders.
 * @throws UserError.
 */
export async function runGenerator(
  args: readonly string[],
  folder: string,
  print: (text: string) => void,
  ask?: typeof askApp,
): Promise<void> {
  const { values, positionals } = readArguments('generate', { args, options: OPTIONS, allowPositionals: true });
  const [kind, name, ...rest] = positionals;
  if (values.help) return print(generatorHelp(kind));
  if (kind === undefined) throw new UserError('generate needs to know what. See catamount help generate.', EXIT.usage);
  const generator = findGenerator(kind);
  if (values.queue !== undefined && kind !== 'job') {
    throw new UserError(`--queue belongs to generate job; a ${kind} has none.`, EXIT.usage);
  }
  const layout = await readLayout(folder, ask);
  const { files, remark } = generator.plan({ name, rest, queue: values.queue, now: new Date() }, layout);
  const dryRun = values['dry-run'] === true;
  if (dryRun) checkFiles(folder, files);
  else writeFiles(folder, files);
  const names = files.map(({ file }) => file);
  print(listing(names, dryRun) + (remark === undefined ? '' : `${remark}\n`));
}

function findGenerator(kind: string): Generator {
  const names = GENERATORS.map(({ name }) => name);
  const found = GENERATORS.find(({ name }) => name === kind);
  if (found) return found;
  const meant = didYouMean(kind, names);
  throw new UserError(
    `generate does not know ${kind}${meant === undefined ? '' : ` (${meant}?)`}: give one of ${names.join(', ')}.`,
    EXIT.usage,
  );
}

export function listing(files: readonly string[], dryRun: boolean): string {
  const lines = files.map((file) => `    create  ${file}\n`);
  return `${lines.join('')}${dryRun ? 'Nothing was changed: --dry-run.\n' : ''}`;
}

/** The text that `catamount help generate` prints. */
function generatorHelp(kind?: string): string {
  const shown = GENERATORS.filter(({ name }) => kind === undefined || name === kind);
  return `Usage: catamount generate WHAT NAME [WORDS] [options]

Writes files in the app's language, into its own folders, each with a test if one makes sense. Overwrites nothing.

${shown.map(({ usage, help, example }) => `  ${usage}\n      ${help}\n      catamount generate ${example}`).join('\n')}

  --dry-run        list the files, and change nothing
  --queue QUEUE    the queue of a job
`;
}
