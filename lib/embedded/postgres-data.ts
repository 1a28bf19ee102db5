import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';
import type { PostgresBinaries } from './postgres-binaries';
import { IN_NAMESPACE, type PostgresUser } from './postgres-user';
import { run } from './server-process';

/**
 * Makes the data folder with an empty database, unless it is there. It gets its name when it is complete, so one that
 * was cut short is made again.
 */
export async function initialise(
  dataDir: string,
  database: string,
  { initdb, postgres }: PostgresBinaries,
  user: PostgresUser,
): Promise<void> {
  if (fs.existsSync(path.join(dataDir, 'PG_VERSION'))) return;
  const draft = `${dataDir}.draft`;
  fs.rmSync(draft, { recursive: true, force: true });
  const options = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'];
  await runAs(user, [initdb, '-D', draft, ...options]).catch((error: Error) => {
    // initdb, unlike Postgres, insists that the user has a name; in a namespace it does.
    if (!error.message.includes('effective user ID')) throw error;
    return runAs({ ...user, wrapper: IN_NAMESPACE }, [initdb, '-D', draft, ...options]);
  });
  const single = ['--single', '-F', '-D', draft, '-c', 'io_method=sync', '-c', 'log_checkpoints=off', 'template1'];
  await runAs(user, [postgres, ...single], `CREATE DATABASE "${database}"\n`);
  fs.renameSync(draft, dataDir);
}

async function runAs({ wrapper, user }: PostgresUser, argv: readonly string[], input?: string): Promise<void> {
  try {
    await run({ argv: [...wrapper, ...argv], user }, input);
  } catch (thrown) {
    const { message, stderr } = thrown as Error & { readonly stderr?: string };
    throw new UserError(
      `Cannot make the data of the embedded Postgres: ${stderr?.trim() || message}\n` +
        'Or set DATABASE_URL to a Postgres of your own.',
    );
  }
}
