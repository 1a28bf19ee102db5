import path from 'node:path';
import type { Migrations } from '../../lib/model/migrations';

const OURS = /[/\\]lib[/\\](?:job|mailer|ops)[/\\]migrations$/;

/** Divides folders, such as `lib/job/migrations`, into Catamount's and the app's. */
export function migrationsIn(folders: readonly string[]): Migrations {
  const absolute = folders.map((folder) => path.resolve(__dirname, '../..', folder));
  return {
    ours: absolute.filter((folder) => OURS.test(folder)),
    apps: absolute.filter((folder) => !OURS.test(folder)),
  };
}
