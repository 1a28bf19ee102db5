import fs from 'node:fs';
import path from 'node:path';
import { readArguments, surplusWord } from '../../core/command-line';
import { EXIT, UserError } from '../../core/errors';
import { installPackages, packageManager } from './install-packages';
import { checkAppName, newApp } from './new-app';
import { listing } from './run-generator';
import { writeFiles } from './write-files';

const OPTIONS = {
  javascript: { type: 'boolean' },
  esm: { type: 'boolean' },
  cjs: { type: 'boolean' },
  'skip-install': { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/**
 * `catamount new shop` creates an app in a folder of that name, and installs its packages.
 * @param args the words after `new`. @param cwd the folder in which the app's folder is created.
 * @throws UserError.
 */
export async function runNew(args: readonly string[], cwd: string, print: (text: string) => void): Promise<void> {
  const { values, positionals } = readArguments('new', { args, options: OPTIONS, allowPositionals: true });
  if (values.help) {
    print(HELP);
    return;
  }
  const [given, surplus] = positionals;
  if (surplus !== undefined) throw surplusWord('new', surplus);
  if (values.esm && values.cjs) throw new UserError('Give --esm or --cjs, not both.', EXIT.usage);
  const name = checkAppName(given);
  const folder = path.join(cwd, name);
  if (fs.existsSync(folder) && fs.readdirSync(folder).length > 0) {
    throw new UserError(`${folder} already exists and is not empty. Give another name, or move it away.`);
  }
  const typescript = values.javascript !== true;
  const manager = packageManager();
  const files = newApp({ name, folder, typescript, esm: values.esm === true, manager, now: new Date() });
  const dryRun = values['dry-run'] === true;
  if (!dryRun) writeFiles(folder, files);
  const names = files.map(({ file }) => path.join(name, file));
  print(listing(names, dryRun));
  if (dryRun) return;
  const installs = values['skip-install'] !== true;
  if (installs) await installPackages(manager, folder);
  print(`\nCreated the app ${name}. Next: cd ${name} && ${installs ? '' : `${manager} install && `}${manager} start\n`);
}

const HELP = `Usage: catamount new NAME [options]

Creates an app in the folder NAME, a sign-up whose job sends a mail, with tests, and runs npm install there,
or pnpm install under pnpm dlx.

  --javascript     JavaScript instead of TypeScript
  --esm, --cjs     ES modules, or CommonJS (the default)
  --skip-install   do not install packages
  --dry-run        list the files, and change nothing
`;
