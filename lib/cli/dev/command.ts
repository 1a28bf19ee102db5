import { readArguments } from '../../core/command-line';
import { EXIT, UserError } from '../../core/errors';
import { readPackage } from '../app/app-layout';
import { compilerFolders } from '../app/ask-app';
import { DevServer } from './dev-server';

const OPTIONS = {
  only: { type: 'string' },
  build: { type: 'string' },
  'no-build': { type: 'boolean' },
} as const;

/** `catamount dev`, for an app in the current folder. @throws UserError. */
export async function runDev(args: readonly string[], findEntry: () => string | undefined): Promise<void> {
  const { only, build, 'no-build': noBuild } = readArguments('dev', { args, options: OPTIONS }).values;
  // The tree would reject it at every start, whatever was saved.
  if (only !== undefined && only !== 'web' && only !== 'jobs')
    throw new UserError(
      `--only of dev is ${JSON.stringify(only)}; it must be web or jobs. See catamount help dev.`,
      EXIT.usage,
    );
  const folder = process.cwd();
  const { scripts } = readPackage(folder);
  const standard = scripts?.build === undefined ? undefined : 'npm run build --silent';
  const server = new DevServer({
    folder,
    findEntry,
    build: noBuild ? undefined : (build ?? standard),
    output: compilerFolders(folder).output,
    only,
  });
  process.exit(await server.run());
}
