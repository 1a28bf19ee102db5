import type { TreePicture } from '../../cluster/tree-picture';
import { elapsed } from '../../support/short-time';
import { count, megabytes, percent, rate, time, UNKNOWN } from './figures';
import { judgementLines } from './judgement';
import { type Line, line, type View } from './view';

/** Who this tree is, how it is, what it answers, what it takes. @param most lines that tell what is wrong. */
export function summary(view: View, now: number, most: number): Line[] {
  const { picture, silence } = view;
  const clock = new Date(now).toTimeString().slice(0, 8);
  if (!picture)
    return [line(`catamount top  ${clock}`, 'strong'), line(silence ?? 'Asking the tree …', silence ? 'bad' : 'faint')];
  const { app, name, stats } = picture;
  const up = elapsed(now - Date.parse(stats.started_at));
  const title = `${app} on ${name}, pid ${stats.pid}, up ${up}, phase ${stats.phase}  ${clock}`;
  const state =
    silence === undefined
      ? judgementLines(view.stores.sighting, picture, new Date(now), most)
      : [line(`! What follows is old, the tree is asked again: ${silence}`, 'bad')];
  return [line(title, 'strong'), ...state, requestsLine(view, picture), memoryLine(picture)];
}

function requestsLine({ rates }: View, { rates: told }: TreePicture): Line {
  const { requestsPerS, p50Ms, p99Ms, failingPerS } = rates;
  const parts = [
    `Requests  ${rate(requestsPerS)}/s`,
    `p50 ${time(p50Ms)}`,
    `p99 ${time(p99Ms)}`,
    `5xx ${rate(failingPerS)}/s`,
    `turned away ${count(told.turnedAway)} in the last minute`,
  ];
  return line(parts.join('  '), told.turnedAway > 0 || (failingPerS ?? 0) > 0 ? 'warn' : 'plain');
}

function memoryLine({ stats, limits }: TreePicture): Line {
  const { pss_mb: used, limit_mb: limit } = stats.memory;
  if (limit === null) return line(`Memory    ${megabytes(used)}, no limit`);
  const share = used === null ? UNKNOWN : percent(used / limit);
  const high = used !== null && limits.recycleAboveMb !== null && used > limits.recycleAboveMb;
  return line(`Memory    ${megabytes(used)} of ${limit} MB (${share})`, high ? 'warn' : 'plain');
}
