import type { AppDefinition } from '../app/app-definition';

/** Where an app's parts are, as absolute paths of the code that runs, which may be the output of a build. */
export interface AppFolders
  extends Pick<AppDefinition, 'file' | 'root' | 'jobsDir' | 'modelsDir' | 'mailersDir' | 'previewsDir'>,
    Pick<AppDefinition, 'migrationsDir' | 'templatesDir'> {
  /** The source of the manifest's `routes`, which contains the path that it imports. */
  readonly routes: string;
}

/** Answers the generator that has started this process over IPC, and ends the process. */
export function sendFolders(app: AppDefinition): void {
  const { file, root, jobsDir, modelsDir, mailersDir, previewsDir, migrationsDir, templatesDir } = app;
  const routes = String(app.routes);
  const folders = { file, root, jobsDir, modelsDir, mailersDir, previewsDir, migrationsDir, templatesDir, routes };
  process.send?.(folders satisfies AppFolders, () => process.exit(0));
}
