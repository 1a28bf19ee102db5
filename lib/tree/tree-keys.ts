/** zset, id by its last pulse (ms, Redis's clock): every tree on this Redis. */
export const TREES = 'catamount:trees';
/** string: exists while somebody looks at the trees. */
export const LOOKED = 'catamount:trees:looked';

/** list of what operators have done, newest first: when (ms, Redis's clock), to how many, what as JSON. */
export const ACTS = 'catamount:acts';

/** What every key of one tree begins with. */
export const TREE_PREFIX = 'catamount:tree:';

/** string: how it looked last, as JSON. */
export function pictureKey(id: string): string {
  return TREE_PREFIX + id;
}

/** list: orders that it has not begun yet. */
export function treeOrdersKey(id: string): string {
  return `${TREE_PREFIX}${id}:orders`;
}

/** string: the number of the last part of its figures that is written down. */
export function writtenKey(id: string): string {
  return `${TREE_PREFIX}${id}:written`;
}

/** hash: figures of one place at one resolution, by step. @param place of a tree, or `all`. */
export function figuresKey(place: string, range: string): string {
  return `catamount:figures:${place}:${range}`;
}
