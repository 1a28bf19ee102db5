import { readArguments } from '../../core/command-line';
import { EXIT, UserError } from '../../core/errors';
import { didYouMean } from '../../support/text';
import { readLayout } from '../app/app-layout';
import type { askApp } from '../app/ask-app';
import { removeFiles, type Step, writeFiles } from './files';
import { GENERATORS, type Generator, type Plan, type Request } from './generators';

type Verb = 'generate' | 'destroy';

const OPTIONS = {
  queue: { type: 'string' },
  'dry-run': { type: 'boolean' },
  force: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/**
 * `catamount generate …` writes files into the app in a folder; `catamount destroy …` removes them.
 * @param args the words after the verb. @param ask default: asks the app itself for its folders.
 * @throws UserError.
 */
export async function runGenerator(
  verb: Verb,
  args: readonly string[],
  folder: string,
  print: (text: string) => void,
  ask?: typeof askApp,
): Promise<void> {
  const { values, positionals } = readArguments(verb, { args, options: OPTIONS, allowPositionals: true });
  const [kind, name, ...rest] = positionals;
  if (values.help || kind === undefined) {
    if (!values.help) throw new UserError(`${verb} needs to know what. See catamount help ${verb}.`, EXIT.usage);
    print(generatorHelp(verb, kind));
    return;
  }
  const generator = find(verb, kind);
  if (values.queue !== undefined && kind !== 'job') {
    throw new UserError(`--queue belongs to generate job; a ${kind} has none.`, EXIT.usage);
  }
  if (values.force && verb === 'generate') {
    throw new UserError('generate has no --force: it never overwrites files. Move the file away first.', EXIT.usage);
  }
  const layout = await readLayout(folder, ask);
  const request: Request = { name, rest, queue: values.queue, now: new Date() };
  const plan = generator.plan(request, layout);
  const dryRun = values['dry-run'] === true;
  const steps =
    verb === 'generate'
      ? writeFiles(folder, plan.files, dryRun)
      : removeFiles(folder, plan.files, { dryRun, force: values.force === true });
  print(report(steps, remarkOn(verb, plan, steps), dryRun));
}

function find(verb: Verb, kind: string): Generator {
  const names = GENERATORS.map(({ name }) => name);
  const found = GENERATORS.find(({ name }) => name === kind);
  if (found) return found;
  const meant = didYouMean(kind, names);
  throw new UserError(
    `${verb} does not know ${kind}${meant === undefined ? '' : ` (${meant}?)`}: give one of ${names.join(', ')}.`,
    EXIT.usage,
  );
}

function remarkOn(verb: Verb, { remark, files }: Plan, steps: readonly Step[]): string | undefined {
  if (verb === 'generate') return remark;
  const migrated = files.some(({ untimed }, i) => untimed !== undefined && steps[i]?.[0] === 'remove');
  return migrated ? 'If the migration has run, its table still exists.' : undefined;
}

/** Lists the outcome for each file. */
export function report(steps: readonly Step[], remark: string | undefined, dryRun: boolean): string {
  const lines = steps.map(([step, file]) => `${step.padStart(10)}  ${file}`);
  if (dryRun) lines.push('Nothing was changed: --dry-run.');
  if (remark !== undefined) lines.push(remark);
  return `${lines.join('\n')}\n`;
}

/** The text that `catamount help generate` prints. */
export function generatorHelp(verb: Verb, kind?: string): string {
  const shown = GENERATORS.filter(({ name }) => kind === undefined || name === kind);
  const what =
    verb === 'generate'
      ? "Writes files in the app's language, into its own folders, each with a test if one makes sense. Overwrites nothing."
      : 'Removes what generate has written for the same words. Changed files are removed only with --force.';
  const options = [
    ['--dry-run', 'list the files, and change nothing'],
    ...(verb === 'generate' ? [['--queue QUEUE', 'the queue of a job']] : [['--force', 'remove changed files, too']]),
  ];
  return `Usage: catamount ${verb} WHAT NAME [WORDS] [options]

${what}

${shown.map(({ usage, help, example }) => `  ${usage}\n      ${help}\n      catamount ${verb} ${example}`).join('\n')}

${options.map(([left = '', right = '']) => `  ${left.padEnd(16)} ${right}`).join('\n')}
`;
}
