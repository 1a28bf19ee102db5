import fs from 'node:fs';
import path from 'node:path';
import { readArguments } from '../../core/command-line';
import { EXIT, UserError } from '../../core/errors';
import { readLayout } from '../generate/app-layout';
import { DevServer } from './dev-server';

const OPTIONS = {
  only: { type: 'string' },
  build: { type: 'string' },
  'no-build': { type: 'boolean' },
} as const;

/** `catamount dev`, for an app in the current folder. @throws UserError. */
export async function runDev(args: readonly string[], findEntry: () => string | undefined): Promise<void> {
  const { only, build, 'no-build': buildsNot } = readArguments('dev', { args, options: OPTIONS }).values;
  // The tree would reject it at every start, whatever was saved.
  if (only !== undefined && only !== 'web' && only !== 'jobs')
    throw new UserError(
      `--only of dev is ${JSON.stringify(only)}; it must be web or jobs. See catamount help dev.`,
      EXIT.usage,
    );
  const layout = readLayout(process.cwd());
  const server = new DevServer({
    layout,
    findEntry,
    build: buildsNot ? undefined : (build ?? buildOf(layout.folder)),
    output: outputOf(layout.folder),
    args: only === undefined ? [] : ['--only', only],
  });
  process.exit(await server.run());
}

/** @returns a command that runs the script `build` of package.json; undefined if there is none. */
function buildOf(folder: string): string | undefined {
  const { scripts } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
    readonly scripts?: Readonly<Record<string, string>>;
  };
  return scripts?.build === undefined ? undefined : 'npm run build --silent';
}

function outputOf(folder: string): string {
  const file = path.join(folder, 'tsconfig.json');
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  return /"outDir":\s*"([^"]+)"/.exec(text)?.[1] ?? 'dist';
}
