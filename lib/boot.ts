import cluster from 'node:cluster';
import { parseArgs } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { CHECK_ROLE, FOLDERS_ROLE, PREVIEWS_ROLE, PROCESSOR_ROLE } from './cluster/child-roles';
import { BOOTED, type Config, environment, hasInheritedConfig, inheritedConfig } from './core/config';
import { EXIT, UserError } from './core/errors';
import type { AppCommand } from './role/app/app-command';
import type { AppDefinition } from './role/app/app-definition';

/**
 * Runs this process in the role it was started for: the primary, if there are no arguments; a web worker, which the primary has
 * forked; a child of the tree (`runChild`); or a command of the app (`APP_COMMANDS`, `migrate`, `rollback`). A UserError is
 * printed and ends the process with its exit code.
 */
export async function boot(app: AppDefinition): Promise<void> {
  // A thread of jobs loads the manifest, maybe from this very file.
  if (!isMainThread) return;
  Reflect.set(globalThis, BOOTED, true);
  // In production the flag --enable-source-maps does: the maps of all packages take 10 MB a process.
  if (environment().NODE_ENV !== 'production') process.setSourceMapsEnabled(true);
  try {
    requireApp(app);
    if (cluster.isWorker) await (await import('./role/start/web-worker')).runWebWorker(app);
    else if (!(await runChild(app, process.argv.slice(2)))) await runCommand(app, process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(error.exitCode);
  }
}

/** Runs a role that only Catamount itself starts. @returns false for any other. */
async function runChild(app: AppDefinition, [role, identity, begin, ...dead]: readonly string[]): Promise<boolean> {
  const ofTree = hasInheritedConfig();
  if (role === PROCESSOR_ROLE && identity !== undefined && ofTree) {
    const { runProcessor } = await import('./role/start/job-processor');
    await runProcessor(app, { identity, dead, quiet: begin === 'quiet' });
  } else if (role === CHECK_ROLE && ofTree) {
    await (await import('./role/start/app-check')).runStartCheck(app, inheritedConfig());
  } else if (role === PREVIEWS_ROLE && ofTree) {
    await (await import('./role/start/previews')).runPreviews(app);
  } else if (role === FOLDERS_ROLE && process.send) {
    await (await import('./role/command/folders')).sendFolders(app);
  } else return false;
  return true;
}

async function runCommand(app: AppDefinition, args: string[]): Promise<void> {
  const [role] = args;
  const run = role !== undefined && Object.hasOwn(APP_COMMANDS, role) ? APP_COMMANDS[role] : undefined;
  if (run) return (await run())(app, args.slice(1), () => configFromEnvironment(undefined));
  const { only, allowPending, command } = await parse(args);
  switch (command) {
    case 'migrate':
    case 'rollback':
      return (await import('./role/command/migrate')).runMigrations(
        app,
        hasInheritedConfig() ? inheritedConfig() : await configFromEnvironment(only),
        command === 'migrate' ? 'up' : 'down',
      );
    case 'start': {
      const { Primary } = await import('./role/start/primary');
      const { settingsOfTree } = await import('./role/app/own-settings');
      return new Primary(app, { ...(await settingsOfTree(only)), allowPending }).start();
    }
    default:
      throw new UserError(
        `"${command}" is not a command. Give none to start the tree; catamount help lists all of them.`,
        EXIT.usage,
      );
  }
}

/** Commands that read their own arguments, in a process that ends by itself. */
const APP_COMMANDS: Readonly<Record<string, () => Promise<AppCommand>>> = {
  jobs: async () => (await import('./role/command/jobs')).runJobsCommand,
  check: async () => (await import('./role/command/check')).runCheckCommand,
  db: async () => (await import('./role/command/db')).runDbCommand,
  run: async () => (await import('./role/command/run')).runScript,
  doctor: async () => (await import('./role/command/doctor')).runDoctor,
  console: async () => (await import('./role/command/console')).runConsole,
};

async function configFromEnvironment(only: string | undefined): Promise<Config> {
  return (await import('./role/app/own-settings')).ownSettings(only);
}

const OPTIONS = { only: { type: 'string' }, 'allow-pending': { type: 'boolean' } } as const;

/** @throws UserError with the exit code for wrong usage. */
async function parse(args: string[]): Promise<{ only: string | undefined; allowPending: boolean; command: string }> {
  const config = { args, options: OPTIONS, allowPositionals: true } as const;
  try {
    const { values, positionals } = parseArgs(config);
    const [command = 'start', surplus] = positionals;
    if (surplus !== undefined) throw (await import('./core/command-line')).surplusWord(command, surplus);
    return { only: values.only, allowPending: values['allow-pending'] === true, command };
  } catch (thrown) {
    if (thrown instanceof UserError) throw thrown;
    const command = args.find((word) => word === 'migrate' || word === 'rollback') ?? 'start';
    throw (await import('./core/command-line')).wrongArguments(command, config, thrown);
  }
}

/** @throws UserError when the entry file passes anything but a manifest. */
function requireApp(app: unknown): void {
  if (typeof app === 'object' && app !== null && 'jobsDir' in app && 'routes' in app) return;
  const got = app === undefined ? 'undefined' : `${typeof app === 'object' ? 'an' : 'a'} ${typeof app} that is not one`;
  const remedy = 'export what defineApp({ … }) returns from your app file, and give that to boot';
  throw new UserError(`${process.argv[1]}: boot needs the app's manifest and got ${got}: ${remedy}.`, EXIT.config);
}
