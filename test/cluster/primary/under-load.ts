import { type Load, type LoadResult, startLoad } from '../../support/load';
import type { Tree } from '../../support/tree';

/** Runs `work` while clients keep a tree busy. The load ends with it, even if it fails. */
export async function underLoad(
  tree: Tree,
  connections: number,
  pathOf: (n: number) => string,
  work: (load: Load) => Promise<void>,
): Promise<LoadResult> {
  const load = startLoad(tree.baseUrl, connections, pathOf);
  try {
    await work(load);
  } finally {
    await load.stop();
  }
  return load.result;
}
