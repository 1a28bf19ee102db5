import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';
import type { PostgresBinaries } from './postgres-binaries';
import { IN_NAMESPACE, type PostgresUser } from './postgres-user';
import { run } from './server-process';

const DRAFT = 'draft-';
const INITDB = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'];
const SINGLE = ['-F', '-c', 'io_method=sync', '-c', 'log_checkpoints=off', 'template1'];

/**
 * Makes the data folder with an empty database, unless it is there. It gets its name when it is complete, so one that
 * was cut short is made again; under another name, since the initdb of a killed run may still be at work.
 */
export async function initialise(
  dataDir: string,
  database: string,
  { initdb, postgres }: PostgresBinaries,
  user: PostgresUser,
): Promise<void> {
  const folder = path.dirname(dataDir);
  removeDrafts(folder);
  if (fs.existsSync(path.join(dataDir, 'PG_VERSION'))) return;
  const draft = path.join(folder, `${DRAFT}${process.pid}-${Date.now()}`);
  const make = async (as: PostgresUser) => {
    await runAs(as, [initdb, '-D', draft, ...INITDB]);
    await runAs(as, [postgres, '--single', '-D', draft, ...SINGLE], `CREATE DATABASE "${database}"\n`);
  };
  await make(user).catch((error: Error) => {
    // Making the data, unlike running on it, takes a user who has a name; in a namespace everybody is nobody.
    if (!error.message.includes('effective user ID')) throw error;
    return make({ ...user, wrapper: IN_NAMESPACE });
  });
  fs.renameSync(draft, dataDir);
}

/** Of a data folder whose server does not run. The password goes through a pipe, where no list of processes shows it. */
export async function setPassword(
  dataDir: string,
  password: string,
  { postgres }: PostgresBinaries,
  user: PostgresUser,
): Promise<void> {
  const statement = `SET password_encryption = 'scram-sha-256'; ALTER ROLE postgres PASSWORD '${password}'`;
  await runAs(user, [postgres, '--single', '-D', dataDir, ...SINGLE], `${statement}\n`);
}

function removeDrafts(folder: string): void {
  for (const name of fs.readdirSync(folder).filter((entry) => entry.startsWith(DRAFT))) {
    try {
      fs.rmSync(path.join(folder, name), { recursive: true, force: true });
    } catch {
      // Its initdb writes faster than we remove; the next start comes past again.
    }
  }
}

async function runAs(
  { wrapper, user, note = '' }: PostgresUser,
  argv: readonly string[],
  input?: string,
): Promise<void> {
  try {
    await run({ argv: [...wrapper, ...argv], user }, input);
  } catch (thrown) {
    const { message, stderr } = thrown as Error & { readonly stderr?: string };
    throw new UserError(
      `Cannot make the data of the embedded Postgres: ${stderr?.trim() || message}\n${note}` +
        'Or set DATABASE_URL to a Postgres of your own.',
    );
  }
}
