import fs from 'node:fs';
import type { User } from './data-folder';
import { run } from './server-process';

/** How to run Postgres, which refuses to be root. */
export interface PostgresUser {
  /** Put before every command. */
  readonly wrapper: readonly string[];
  readonly user: User | undefined;
  /** Said when that does not work out. */
  readonly note?: string;
}

const NOBODY: User = { uid: 65534, gid: 65534 };
const NOBODY_NOTE =
  'Postgres refuses to run as root, and this machine forbids user namespaces, so it runs as nobody: ' +
  'let others enter this folder and those above it (chmod o+x), or start as a user of your own.\n';
/** A user namespace of its own, which shows the user as nobody. Files stay those of the real user. */
export const IN_NAMESPACE: readonly string[] = ['unshare', '--user'];

/**
 * As root: the owner of existing data; else the folder's owner; else root in a user namespace, which may enter a folder
 * that is closed to all others; else, where namespaces are forbidden, nobody.
 */
export async function postgresUser(
  folder: string,
  actingFor: User | undefined,
  namespaces: () => Promise<boolean> = namespacesWork,
): Promise<PostgresUser> {
  if (process.getuid?.() !== 0) return { wrapper: [], user: undefined };
  if (fs.existsSync(folder)) {
    const { uid, gid } = fs.statSync(folder);
    if (uid !== 0) return { wrapper: [], user: { uid, gid } };
  } else if (actingFor) {
    return { wrapper: [], user: actingFor };
  }
  return (await namespaces())
    ? { wrapper: IN_NAMESPACE, user: undefined }
    : { wrapper: [], user: NOBODY, note: NOBODY_NOTE };
}

async function namespacesWork(): Promise<boolean> {
  return run({ argv: [...IN_NAMESPACE, 'true'] }).then(
    () => true,
    () => false,
  );
}
