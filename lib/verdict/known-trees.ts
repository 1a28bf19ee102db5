import type { TreePicture } from '../cluster/tree-picture';
import { byTextAndNumber } from '../support/text-order';
import type { Sighting } from './lookout';
import { valueIn } from './source';

/** A tree shows once a second that it lives: one that has not for so long is cut off, or dead, ms. */
const SILENT_MS = 5000;

/** A tree that is known of. */
export interface KnownTree {
  readonly picture: TreePicture;
  /** Of the process that asks. */
  readonly own: boolean;
  /** For how long it has been silent; null of one that is heard of. */
  readonly silentMs: number | null;
}

/** All of them, the own one whether Redis knows it or not. Two of one name are told apart by their pids. */
export function knownTrees(sighting: Pick<Sighting, 'own' | 'trees'>): KnownTree[] {
  const own = valueIn(sighting.own);
  const others = (valueIn(sighting.trees) ?? []).filter(({ picture }) => picture.id !== own?.id);
  const all: KnownTree[] = [
    ...(own ? [{ picture: own, own: true, silentMs: null }] : []),
    ...others.map(({ picture, silentMs }) => ({
      picture,
      own: false,
      silentMs: silentMs > SILENT_MS ? silentMs : null,
    })),
  ];
  const names = all.map(({ picture }) => picture.name);
  return all
    .map((tree) => {
      const { picture } = tree;
      const alone = names.filter((name) => name === picture.name).length === 1;
      if (alone) return tree;
      return { ...tree, picture: { ...picture, name: `${picture.name} (pid ${picture.stats?.pid})` } };
    })
    .sort((a, b) => byTextAndNumber(a.picture.name, b.picture.name));
}
