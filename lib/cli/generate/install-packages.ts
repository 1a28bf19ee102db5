import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { environment } from '../../core/config';
import { UserError } from '../../core/errors';

export type PackageManager = 'npm' | 'pnpm' | 'yarn';

/** @returns the one that has started this process, as in `pnpm dlx catamount new`; npm if none has. */
export function packageManager(): PackageManager {
  const [, name = 'npm'] = /^(pnpm|yarn)\b/.exec(environment().npm_config_user_agent ?? '') ?? [];
  return name as PackageManager;
}

/** Installs the packages of a folder, on the terminal. @throws UserError if it fails, which leaves the app complete. */
export async function installPackages(manager: PackageManager, folder: string): Promise<void> {
  const child = spawn(manager, ['install', ...(manager === 'npm' ? ['--no-audit', '--no-fund'] : [])], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = (await once(child, 'close').catch(() => [null])) as [number | null];
  if (code !== 0)
    throw new UserError(
      `${manager} install failed in ${folder}. The app has been created: run ${manager} install there again.`,
    );
}
