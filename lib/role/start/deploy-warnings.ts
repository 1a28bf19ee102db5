import { asSentence } from '../../core/finding';
import type { Redis } from '../../core/redis';
import { TreeDirectory } from '../../tree/tree-directory';
import { findings, type PostgresContext } from '../checks/all-checks';
import { pendingText } from '../checks/postgres';

interface Sources extends PostgresContext {
  readonly redis: Pick<Redis, 'client' | 'isOff'>;
  /** Id of the own tree, which is counted whether it is listed already or not. */
  readonly treeId: string;
}

/**
 * Warns in production of pending migrations, which the release phase runs instead of the start. Also warns when the pools of
 * all trees, old and new ones side by side, may open more connections than Postgres allows.
 */
export async function deployWarnings({ redis, treeId, ...sources }: Sources): Promise<string[]> {
  // Without Redis it knows no other tree.
  const listed = redis.isOff ? [] : await new TreeDirectory(redis.client).list().catch(() => []);
  const others = listed.filter(({ treeStatus }) => treeStatus.id !== treeId);
  const otherTrees = others.map(({ treeStatus }) => treeStatus.limits.databaseConnections);
  // Where Postgres does not answer, the start says so by itself.
  const found = await findings('postgres', 'start', { ...sources, otherTrees }, () => []);
  const pending = found.flatMap(({ subject }) => subject ?? []);
  return [
    ...(pending.length > 0 ? [`${pendingText(pending)} Run: node dist/server.js migrate`] : []),
    ...found.filter(({ subject }) => subject === undefined).map(asSentence),
  ];
}
