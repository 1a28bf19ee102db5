/** Redis zset of every tree on this Redis: its id, by the time of its last heartbeat (ms, Redis's clock). */
export const TREES = 'catamount:trees';
/** Redis string that exists while somebody watches the trees. */
export const WATCHED = 'catamount:trees:watched';
/** Channel of the ids of trees that should send a heartbeat at once; an empty message means all trees. */
export const TREES_WAKE = 'catamount:trees:wake';

export const TREE_PREFIX = 'catamount:tree:';

/** Redis string: the tree's last status, as JSON. */
export function treeStatusKey(id: string): string {
  return TREE_PREFIX + id;
}

/** Redis list: commands that the tree has not yet begun. */
export function treeCommandsKey(id: string): string {
  return `${TREE_PREFIX}${id}:commands`;
}

/** Redis string: the number of the tree's last rollup that has been written. */
export function writtenKey(id: string): string {
  return `${TREE_PREFIX}${id}:written`;
}

/** Redis hash: one time series, by step. @param place the place of a tree, or `all`. @param range such as `10m`. */
export function figuresKey(place: string, range: string): string {
  return `catamount:rollups:${place}:${range}`;
}
