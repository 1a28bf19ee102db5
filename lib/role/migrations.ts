import path from 'node:path';
import type { AppDefinition } from './app-definition';

/** Our own tables first, then the app's: one history, told apart by name. */
export function migrationFolders(app: AppDefinition): string[] {
  const ours = ['job', 'mailer', 'ops'].map((part) => path.join(__dirname, '..', part, 'migrations'));
  return [...ours, app.migrationsDir];
}
