import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../core/errors';
import { exportsOf } from '../../core/load-classes';
import type { CronOptions, JobClass } from '../../job/definition/job-class';
import { jobNameOf } from '../../job/definition/options';
import { importMigration, migrationFiles } from '../../model/migrations';
import { toError } from '../../support/async';
import { didYouMean } from '../../support/text';
import type { AppDefinition } from '../app/app-definition';

/** Mistakes in single files that no process of the tree would notice, or only later. */

const UNEXPORTED = /^[ \t]*class\s+(\w+)\s+extends\s+(?:\w+\.)?\w*Job\b/m;

/** @throws UserError for a file without exports that declares a job class: nobody would ever find it. */
export function refuseUnexported(file: string, exported: unknown): void {
  if (exportsOf(exported).length > 0) return;
  const [, name] = UNEXPORTED.exec(fs.readFileSync(file, 'utf8')) ?? [];
  if (name) throw new UserError(`it declares ${name} and does not export it: export it as the default`);
}

const CRON_OPTIONS: Readonly<Record<keyof CronOptions, true>> = {
  at: true,
  timeZone: true,
  catchUp: true,
  args: true,
  name: true,
};

/** @throws UserError for an option of `static cron` that there is not, such as `zone`. */
export function checkCronOptions(jobClass: JobClass): void {
  const known = Object.keys(CRON_OPTIONS);
  for (const entry of [jobClass.cron].flat()) {
    if (typeof entry !== 'object' || entry === null) continue;
    const name = Object.keys(entry).find((each) => !known.includes(each));
    if (name === undefined) continue;
    const meant = didYouMean(name, known) ?? known.find((each) => each.toLowerCase().endsWith(name.toLowerCase()));
    const remedy = meant ? `write ${meant}` : `take it out, or write one of ${known.join(', ')}`;
    throw new UserError(`${jobNameOf(jobClass)}: there is no option ${name} of cron: ${remedy}`);
  }
}

/** @returns a sentence about each of the app's migrations that has the name of another. */
export function equalMigrations({ migrationsDir }: AppDefinition): string[] {
  if (migrationsDir === false) return [];
  return migrationFiles([migrationsDir]).flatMap(({ name, file }, at, all) => {
    const other = all.slice(0, at).find((each) => each.name === name);
    if (!other) return [];
    const told = `${path.basename(other.file)} is a migration of the same name, and only one of them would run`;
    return `${file}: ${told}: rename one, or remove it`;
  });
}

/** Loads the app's migrations, without running them. @returns a sentence about each that cannot run. */
export async function brokenMigrations({ migrationsDir, importFile }: AppDefinition): Promise<string[]> {
  if (migrationsDir === false) return [];
  const found: string[] = [];
  for (const migration of migrationFiles([migrationsDir])) {
    await importMigration(migration, importFile).catch((thrown) => found.push(toError(thrown).message));
  }
  return found;
}
