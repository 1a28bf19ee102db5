import { worstFirst } from '../../verdict/issue';
import type { OpsContext } from '../context';
import { load } from './primary-view';
import type { SeenTree } from './seen-tree';
import type { Tone, Words } from './words';

/** A tree in the strip of all trees. */
export interface TreeTab {
  readonly id: string;
  readonly name: string;
  readonly tone: Tone;
  readonly href: string;
  readonly current: boolean;
  /** `12/20 · 88 %` */
  readonly figures: string;
  /** Of its memory's limit. */
  readonly percent: number;
}

export function treeTab({ picture, own, silent, issues }: SeenTree, current: boolean, words: Words): TreeTab {
  const { id, name, stats } = picture;
  const { pss_mb: used, limit_mb: limit } = stats.memory;
  const requests = load(picture);
  const share = used !== null && limit !== null ? words.percent(used / limit) : null;
  const figures = [
    requests ? `${requests.inFlight}/${requests.of}` : words.t('overview.trees.jobsOnly'),
    share === null ? words.mb(used) : `${share} %`,
  ];
  return {
    id,
    name,
    tone: silent === null ? (worstFirst(issues)[0]?.level ?? 'ok') : 'unknown',
    href: hrefOf('/ops', own ? null : id),
    current,
    figures: silent === null ? figures.join(' · ') : words.t('overview.trees.silent', { span: silent }),
    percent: silent === null ? Math.min(100, share ?? 0) : 0,
  };
}

/** @param tree its id; null for the one that shows the page. */
export function hrefOf(path: string, tree: string | null, hash = ''): string {
  return `${path}${tree === null ? '' : `?tree=${tree}`}${hash}`;
}

/** The tree that the query names, by id; null for the one that shows the page. */
export function chosenTree({ query }: Pick<OpsContext, 'query'>): string | null {
  return typeof query.tree === 'string' && query.tree !== '' ? query.tree : null;
}
