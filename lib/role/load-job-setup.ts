import { toError, UserError } from '../core/errors';
import type { JobSetup } from '../job/setup';
import { checkJobSetup } from '../job/setup-check';
import type { AppDefinition } from './app-definition';

/** What the app adds to its job layer; nothing where it says nothing. @throws UserError that names the file. */
export async function loadJobSetup({ jobSetup }: Pick<AppDefinition, 'jobSetup'>): Promise<JobSetup> {
  if (!jobSetup) return {};
  const where = `jobSetup (${fileOf(jobSetup)})`;
  let loaded: Awaited<ReturnType<typeof jobSetup>>;
  try {
    loaded = await jobSetup();
  } catch (thrown) {
    const error = toError(thrown);
    throw Object.assign(new UserError(`${where} cannot be loaded: ${error.message}`), { cause: error });
  }
  return checkJobSetup(loaded?.default, where);
}

/** What the function imports, compiled or not: it alone knows. */
function fileOf(load: () => unknown): string {
  return /(?:import|require)\(\s*["'`]([^"'`]+)["'`]/.exec(load.toString())?.[1] ?? 'of defineApp';
}
