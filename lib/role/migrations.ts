import path from 'node:path';
import type { AppDefinition } from './app-definition';

/** Our own tables first, then the app's: one history, told apart by name. */
export function migrationFolders(app: AppDefinition): string[] {
  return [path.join(__dirname, '../job/migrations'), path.join(__dirname, '../mailer/migrations'), app.migrationsDir];
}
