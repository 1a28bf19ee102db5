import type { JobSetup } from '../job/setup';
import { checkJobSetup } from '../job/setup-check';
import type { AppDefinition } from './app-definition';
import { loadSetup } from './load-setup';

/** What the app adds to its job layer; nothing where it says nothing. @throws UserError that names the file. */
export async function loadJobSetup({ jobSetup }: Pick<AppDefinition, 'jobSetup'>): Promise<JobSetup> {
  return jobSetup ? loadSetup('jobSetup', jobSetup, checkJobSetup) : {};
}
