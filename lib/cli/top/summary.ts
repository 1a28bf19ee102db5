import type { TreePicture } from '../../cluster/tree-picture';
import { elapsed } from '../../support/short-time';
import { count, megabytes, percent, rate, time, UNKNOWN } from './figures';
import { type Line, line, type View } from './view';

/** Who this tree is, what it answers, what it takes. */
export function summary(view: View, now: number): Line[] {
  const { picture, silence } = view;
  const clock = new Date(now).toTimeString().slice(0, 8);
  if (!picture)
    return [line(`catamount top  ${clock}`, 'strong'), line(silence ?? 'Asking the tree …', silence ? 'bad' : 'faint')];
  const { app, name, stats } = picture;
  const up = elapsed(now - Date.parse(stats.started_at));
  const title = `${app} on ${name}, pid ${stats.pid}, up ${up}, phase ${stats.phase}  ${clock}`;
  return [line(title, 'strong'), stateLine(view, picture), requestsLine(view, picture), memoryLine(picture)];
}

/** The verdict first. */
function stateLine({ silence }: View, picture: TreePicture): Line {
  const { stats, stopping, phasedRestart, slots, processor } = picture;
  if (silence !== undefined) return line(`! What follows is old, the tree is asked again: ${silence}`, 'bad');
  if (stopping) return line('! The tree is stopping.', 'warn');
  const waiting = slots.filter((slot) => slot.nextTry !== null).map((slot) => `worker ${slot.index}`);
  if (processor.nextTry) waiting.push('the job processor');
  if (waiting.length > 0) return line(`! ${waiting.join(', ')}: dead, to be started again. See below.`, 'bad');
  if (phasedRestart) return line(`~ A phased restart is under way: phase ${stats.phase}.`, 'warn');
  if (stats.booted_workers < stats.workers)
    return line(`! ${stats.booted_workers} of ${stats.workers} workers are ready.`, 'warn');
  const { state } = stats.job_processor;
  if (state !== 'ready' && state !== 'off') return line(`~ Jobs: ${state}.`, 'warn');
  return line('All is well.', 'faint');
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
