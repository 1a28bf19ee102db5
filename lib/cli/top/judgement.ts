import type { TreePicture } from '../../cluster/tree-picture';
import { issueLine, judgementTitle } from '../../ops/overview/issue-words';
import { Words } from '../../ops/overview/words';
import { pageTexts, TEXTS } from '../../ops/page/page-texts';
import { worstFirst } from '../../verdict/issue';
import { type Judgement, judge, transitOf } from '../../verdict/judge';
import type { Sighting } from '../../verdict/lookout';
import { treeIssues } from '../../verdict/tree-issues';
import { type Line, line } from './view';

const texts = pageTexts(TEXTS).in('en');

/**
 * How all is, as the overview tells it and in its words.
 * @param sighting undefined: Redis and Postgres could not be asked. @param most lines about what is wrong.
 */
export function judgementLines(
  sighting: Sighting | undefined,
  picture: TreePicture,
  now: Date,
  most = Number.POSITIVE_INFINITY,
): Line[] {
  const words = new Words(texts, now, false);
  const judgement = judgementOf(sighting, picture);
  const { level, issues, transit } = judgement;
  const title = judgementTitle(judgement, words);
  if (issues.length === 0) return [line(transit ? `~ ${title}.` : `${title}.`, transit ? 'warn' : 'faint')];
  const shown = issues.length > most ? issues.slice(0, Math.max(0, most - 1)) : issues;
  const hidden = issues.length - shown.length;
  return [
    line(`! ${title}:`, level === 'bad' ? 'bad' : 'warn'),
    ...shown.map((issue) => line(`  ${issueLine(issue, words)}`, issue.level)),
    ...(hidden > 0 ? [line(`  … ${hidden} more`, 'warn')] : []),
  ];
}

/** Of the picture at hand, which may be newer than what else is known. */
export function judgementOf(
  sighting: Sighting | undefined,
  picture: TreePicture,
): Pick<Judgement, 'level' | 'issues' | 'transit'> {
  if (sighting) {
    const own = { ok: true, value: picture, tookMs: 0 } as const;
    return judge({ ...sighting, own }, null, picture.limits.latencyWarningMs);
  }
  const issues = worstFirst(treeIssues(picture));
  return { level: issues[0]?.level ?? 'busy', issues, transit: transitOf(picture, undefined) };
}
