import { EXIT, UserError } from '../../core/errors';
import { loadFault } from '../../core/load-fault';
import type { JobSetup } from '../../job/definition/setup';
import type { MailSetup } from '../../mailer/definition/setup';
import type { ApplicationOptions } from '../../web/application';
import { type AppDefinition, notAFunction, type RouteEnvironment, type Routes } from './app-definition';

/**
 * Loads a module that the manifest gives as a function: `() => import('./job-setup')`.
 * @param check validates the default export; `where` names the option and its file.
 * @throws UserError that names the file.
 */
async function loadSetup<T>(
  option: string,
  load: () => Promise<{ readonly default: T }>,
  check: (value: unknown, where: string) => T,
): Promise<T> {
  const where = `${option} (${importedPath(load)})`;
  if (typeof load !== 'function') {
    throw new UserError(`defineApp: ${notAFunction(option, load)}`, EXIT.config);
  }
  let loaded: { readonly default: T };
  try {
    loaded = await load();
  } catch (thrown) {
    throw toLoadError(`${where} cannot be loaded`, thrown);
  }
  return check(loaded?.default, where);
}

/** @returns the error that the app's code has thrown, with its place and the remedy. @param subject of the sentence. */
function toLoadError(subject: string, thrown: unknown): UserError {
  return Object.assign(new UserError(`${subject}: ${loadFault('', thrown).message}`, EXIT.config), { cause: thrown });
}

/** Path that the function imports, compiled or not, for messages: only its source text contains it. */
function importedPath(load: () => unknown): string {
  return /(?:import|require)\(\s*["'`]([^"'`]+)["'`]/.exec(load.toString())?.[1] ?? 'of defineApp';
}

/** The app's extensions of its job layer; empty without `jobSetup`. @throws UserError that names the file. */
export async function loadJobSetup({ jobSetup }: Pick<AppDefinition, 'jobSetup'>): Promise<JobSetup> {
  if (!jobSetup) return {};
  const { checkJobSetup } = await import('../../job/definition/setup');
  return loadSetup('jobSetup', jobSetup, checkJobSetup);
}

/** The app's extensions of its mail; empty without `mailSetup`. @throws UserError that names the file. */
export async function loadMailSetup({ mailSetup }: Pick<AppDefinition, 'mailSetup'>): Promise<MailSetup> {
  if (!mailSetup) return {};
  const { checkMailSetup } = await import('../../mailer/definition/setup');
  return loadSetup('mailSetup', mailSetup, checkMailSetup);
}

/** The app's routes. @throws UserError that names the file, when it cannot be loaded or exports no function. */
export async function loadRoutes({ routes }: Pick<AppDefinition, 'routes'>): Promise<Routes> {
  return loadSetup('routes', routes as () => Promise<{ readonly default: Routes }>, (value, where) => {
    if (typeof value === 'function') return checkedRoutes(value as Routes, where);
    const wrong = 'its default export is no function';
    throw new UserError(`${where}: ${wrong}; export one: (router, environment) => { … }`, EXIT.config);
  });
}

/** Makes what the routes throw final: every worker would throw it again, and the tree would restart workers for ever. */
function checkedRoutes(routes: Routes, where: string): Routes {
  return (router, environment) => {
    try {
      return routes(router, environment);
    } catch (thrown) {
      throw toLoadError(where, thrown);
    }
  };
}

/**
 * Loads the options that the app sets for its web; there may be none.
 * @param environment if it is missing, the options are only checked, and `koa` is not called.
 * @throws UserError for an option that cannot be used.
 */
export async function loadOwnWeb(
  app: Pick<AppDefinition, 'koa' | 'bodyParser' | 'headers' | 'probes'>,
  environment?: RouteEnvironment,
): Promise<Partial<ApplicationOptions>> {
  const { koa, bodyParser, headers, probes } = app;
  if (koa === undefined && bodyParser === undefined && headers === undefined && probes === undefined) return {};
  const { ownWeb } = await import('../../web/own-web');
  return ownWeb({ koa: koa && environment && ((app) => koa(app, environment)), bodyParser, headers, probes });
}
