import cluster from 'node:cluster';
import { parseArgs } from 'node:util';
import { PREVIEWS_ROLE, PROCESSOR_ROLE } from './cluster/child-process';
import { environment, hasInheritedConfig, inheritedConfig } from './core/config';
import { EXIT, UserError } from './core/errors';
import { fileBehindStdout } from './core/logging';
import { installSourceMaps } from './internals/stack-traces';
import type { AppDefinition } from './role/app-definition';

/**
 * Runs this process in the role it was started for. By the command line: the primary (no arguments), `migrate`,
 * `rollback` or `jobs …`; started by the primary: a web worker or the job processor; started by a web worker: the
 * renderer of previews. A UserError is printed and ends the process with its exit code.
 */
export async function boot(app: AppDefinition): Promise<void> {
  installSourceMaps();
  try {
    if (cluster.isWorker) await (await import('./role/web')).runWebWorker(app);
    else await runCommand(app, process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(error.exitCode);
  }
}

async function runCommand(app: AppDefinition, args: string[]): Promise<void> {
  const [role, identity, begin, ...dead] = args;
  if (role === PROCESSOR_ROLE && identity !== undefined && hasInheritedConfig()) {
    return (await import('./role/job-processor')).runProcessor(app, { identity, dead, quiet: begin === 'quiet' });
  }
  if (role === PREVIEWS_ROLE && hasInheritedConfig()) return (await import('./role/previews')).runPreviews(app);
  if (role === 'jobs') {
    const { runJobsCommand } = await import('./role/jobs-command');
    return runJobsCommand(app, args.slice(1), () => configFromEnvironment(undefined));
  }
  const { only, command } = parse(args);
  switch (command) {
    case 'migrate':
    case 'rollback':
      return (await import('./role/migrate')).runMigrations(
        app,
        hasInheritedConfig() ? inheritedConfig() : await configFromEnvironment(only),
        command === 'migrate' ? 'up' : 'down',
      );
    case 'start': {
      const { Primary } = await import('./role/primary');
      return new Primary(app, await configFromEnvironment(only)).start();
    }
    default:
      throw new UserError(
        `"${command}" is no command. Use none to start the tree, or migrate or rollback.`,
        EXIT.usage,
      );
  }
}

async function configFromEnvironment(only: string | undefined) {
  const { readSettings } = await import('./core/settings');
  return readSettings({
    env: environment(),
    cwd: process.cwd(),
    only,
    isTty: process.stdout.isTTY === true,
    logFile: fileBehindStdout(),
  });
}

function parse(args: string[]): { only: string | undefined; command: string } {
  try {
    const { values, positionals } = parseArgs({ args, options: { only: { type: 'string' } }, allowPositionals: true });
    const [command = 'start', surplus] = positionals;
    if (surplus !== undefined) throw new Error(`"${surplus}" is one command too many.`);
    return { only: values.only, command };
  } catch (error) {
    throw new UserError(
      `${error instanceof Error ? error.message : error}\nUsage: node server.js [--only web|jobs]`,
      EXIT.usage,
    );
  }
}
