import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { UserError } from '../../core/errors';

/** Runs `npm install` in a folder, at the terminal. @throws UserError when it fails; the app is whole without it. */
export async function npmInstall(folder: string): Promise<void> {
  const child = spawn('npm', ['install', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = (await once(child, 'close').catch(() => [null])) as [number | null];
  if (code !== 0) throw new UserError(`npm install failed in ${folder}. The app is there: go there, and run it again.`);
}
