import type { OpsContext } from '../ui/page-types';
import { linkWith } from '../ui/shell';

/** @param tree id of a tree; null for the one that serves the page. */
export function linkToTree(path: string, tree: string | null, hash = ''): string {
  return linkWith(path, '', { tree }) + hash;
}

/** Id of the tree that the query names; null for the one that serves the page. */
export function chosenTree({ query }: Pick<OpsContext, 'query'>): string | null {
  return typeof query.tree === 'string' && query.tree !== '' ? query.tree : null;
}
