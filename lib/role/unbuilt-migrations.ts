import fs from 'node:fs';
import path from 'node:path';
import { withoutExtension } from '../core/load-classes';
import type { AppDefinition } from './app-definition';

/**
 * Finds the migrations in TypeScript that the app's build does not have yet, so that nothing would run them: those in
 * `migrations/`, where the app runs from `dist/migrations/`. @returns their paths, relative to the current folder.
 */
export function unbuiltMigrations(
  { migrationsDir }: Pick<AppDefinition, 'migrationsDir'>,
  cwd = process.cwd(),
): string[] {
  if (migrationsDir === false) return [];
  const [output, ...inner] = path.relative(cwd, migrationsDir).split(path.sep);
  const sources = path.join(cwd, ...inner);
  if (inner.length === 0 || output === '..' || !fs.existsSync(sources)) return [];
  const built = new Set((fs.existsSync(migrationsDir) ? fs.readdirSync(migrationsDir) : []).map(withoutExtension));
  return fs
    .readdirSync(sources)
    .filter((name) => /(?<!\.d)\.[cm]?ts$/.test(name) && !built.has(withoutExtension(name)))
    .map((name) => path.join(...inner, name));
}
