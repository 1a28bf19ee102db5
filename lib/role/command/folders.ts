import type { AppDefinition } from '../app/app-definition';

/** Where an app's parts are, as absolute paths of the code that runs, which may be the output of a build. */
export type AppFolders = Pick<
  AppDefinition,
  'file' | 'root' | 'jobsDir' | 'modelsDir' | 'mailersDir' | 'previewsDir' | 'migrationsDir' | 'templatesDir'
>;

/** Answers the generator that has started this process over IPC, and ends the process. */
export function sendFolders(app: AppDefinition): void {
  const { file, root, jobsDir, modelsDir, mailersDir, previewsDir, migrationsDir, templatesDir } = app;
  const folders = { file, root, jobsDir, modelsDir, mailersDir, previewsDir, migrationsDir, templatesDir };
  process.send?.(folders satisfies AppFolders, () => process.exit(0));
}
