import { toError, UserError } from '../core/errors';

/**
 * Loads what the manifest names by a function: `() => import('./job-setup')`.
 * @param check of the default export; `where` names the option and its file.
 * @throws UserError that names the file.
 */
export async function loadSetup<T>(
  option: string,
  load: () => Promise<{ readonly default: T }>,
  check: (value: unknown, where: string) => T,
): Promise<T> {
  const where = `${option} (${fileOf(load)})`;
  let loaded: { readonly default: T };
  try {
    loaded = await load();
  } catch (thrown) {
    const error = toError(thrown);
    throw Object.assign(new UserError(`${where} cannot be loaded: ${error.message}`), { cause: error });
  }
  return check(loaded?.default, where);
}

/** What the function imports, compiled or not: it alone knows. */
function fileOf(load: () => unknown): string {
  return /(?:import|require)\(\s*["'`]([^"'`]+)["'`]/.exec(load.toString())?.[1] ?? 'of defineApp';
}
