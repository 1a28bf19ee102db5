import type { Config } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { JobClass } from '../../job/definition/job-class';
import { effectiveName } from '../../job/definition/options';
import type { AppDefinition } from './app-definition';

/**
 * The file of the manifest, which each thread of jobs loads; undefined: no class has `thread`.
 * @throws UserError if one has, but JOB_THREADS is 0 or the file is not known.
 */
export function threadManifest(
  classes: Iterable<JobClass>,
  app: Pick<AppDefinition, 'file'>,
  jobs: Pick<Config['jobs'], 'threads'>,
): string | undefined {
  const first = [...classes].find(({ thread }) => thread);
  if (!first) return undefined;
  const name = effectiveName(first);
  if (!jobs.threads) {
    throw new UserError(
      `${name} has thread, but JOB_THREADS is 0: set it to the number of threads, such as 1`,
      EXIT.config,
    );
  }
  if (app.file !== undefined) return app.file;
  const remedy = 'export it as the default of the file that calls defineApp';
  throw new UserError(
    `${name} has thread, but the file of the manifest is not known, which its thread loads: ${remedy}`,
    EXIT.config,
  );
}
