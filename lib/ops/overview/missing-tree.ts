import type { Sighting } from '../../verdict/lookout';
import type { ProblemError } from '../../web/problem';
import { refusal } from '../page/refusal';

/** Why the tree that was asked for is not shown: it is gone, or Redis, which knows the other trees, does not answer now. */
export function missingTree({ trees }: Pick<Sighting, 'trees'>): ProblemError {
  if (trees.ok) return refusal(404, 'treeGone');
  return refusal(503, 'away', { values: { who: 'Redis' }, headers: { 'Retry-After': '2' } });
}
