import { told } from '../cluster/stats';
import type { SlotPicture, TreePicture } from '../cluster/tree-picture';
import type { Issue } from './issue';
import { hotFactor, inSlot, isRestarting, readyWorkers, silenceOf } from './worker-state';

/** For so long an operator is told that Redis was emptied, ms. */
const EMPTIED_MS = 15 * 60_000;

/** What is wrong with the processes of a tree, by its own clock. */
export function treeIssues(picture: TreePicture): Issue[] {
  const now = new Date(picture.at);
  return [
    ...workerIssues(picture, now),
    ...jobsIssues(picture, now),
    ...trafficIssues(picture),
    ...memoryIssues(picture),
    ...phaseIssues(picture),
    ...lossIssues(picture, now),
  ];
}

function workerIssues(picture: TreePicture, now: Date): Issue[] {
  const { slots, stats, stopping } = picture;
  const nobody = stats.workers > 0 && readyWorkers(picture) === 0 && !stopping;
  return [
    ...(nobody ? [{ level: 'bad', code: 'nobodyServes', figures: { count: stats.workers } } as const] : []),
    ...slots.flatMap((slot) => slotIssue(picture, slot, now)),
  ];
}

function slotIssue(picture: TreePicture, slot: SlotPicture, now: Date): Issue[] {
  const here = inSlot(picture, slot);
  const { current, outgoing } = here;
  const about = { subject: String(slot.index) };
  if (isRestarting(slot, here)) {
    const figures = { slot: slot.index, attempt: slot.nextTry?.attempt ?? 1 };
    return [{ ...about, level: 'bad', code: 'restarts', figures, death: slot.death }];
  }
  if (current?.state !== 'ready') return [];
  const status = told(current.last_status);
  const silentMs = silenceOf(current, now);
  if (silentMs !== null) {
    const figures = { slot: slot.index, spanMs: silentMs };
    return [{ ...about, level: 'warn', code: 'silent', figures, detail: status?.in_flight[0]?.what ?? '' }];
  }
  const mb = current.pss_mb ?? status?.rssMb;
  const factor = hotFactor(picture, slot.index, mb);
  if (factor === null || outgoing) return [];
  return [{ ...about, level: 'warn', code: 'hot', figures: { slot: slot.index, mb: Math.round(mb ?? 0) } }];
}

function jobsIssues({ stats, processor: { death, nextTry }, limits }: TreePicture, now: Date): Issue[] {
  if (limits.jobConcurrency === 0) return [];
  const { job_processor: processor } = stats;
  const attempt = nextTry?.attempt ?? 0;
  const restarting: Issue = { level: 'bad', code: 'jobsRestart', figures: { attempt }, death };
  switch (processor.state) {
    case 'circuit open':
      return [{ level: 'bad', code: 'circuit', figures: { count: attempt }, death }];
    case 'waiting':
      return [restarting];
    case 'off':
    case 'booting':
      return nextTry ? [restarting] : [];
    case 'stopped':
      return [{ level: 'warn', code: 'jobsStopped', figures: {} }];
    case 'quiet':
      return [{ level: 'warn', code: 'jobsQuiet', figures: {} }];
    case 'ready': {
      const silentMs = silenceOf(processor, now);
      const running = told(processor.last_status)
        ?.in_flight.map(({ what }) => what)
        .join(', ');
      if (silentMs === null) return [];
      return [{ level: 'bad', code: 'jobsSilent', figures: { spanMs: silentMs }, detail: running ?? '' }];
    }
    default:
      return [];
  }
}

function trafficIssues({ rates: { turnedAway, serverErrors } }: TreePicture): Issue[] {
  const own = serverErrors - turnedAway;
  return [
    ...(turnedAway > 0 ? [{ level: 'bad', code: 'turnedAway', figures: { count: turnedAway } } as const] : []),
    ...(own > 0 ? [{ level: 'warn', code: 'serverErrors', figures: { count: own } } as const] : []),
  ];
}

function memoryIssues({ stats, limits }: TreePicture): Issue[] {
  const { pss_mb: used, limit_mb: limit } = stats.memory;
  if (used === null || limit === null || limits.recycleAboveMb === null || used <= limits.recycleAboveMb) return [];
  const figures = { percent: Math.round((100 * used) / limit), used: Math.round(used), limit };
  return [{ level: used > limit ? 'bad' : 'warn', code: 'memory', figures }];
}

function phaseIssues({ stats: { last_phase: last } }: TreePicture): Issue[] {
  if (!last || last.completed) return [];
  return [{ level: 'warn', code: 'phase', figures: { phase: last.phase }, detail: last.reason ?? '' }];
}

function lossIssues({ events }: TreePicture, now: Date): Issue[] {
  const loss = events.find(({ name }) => name === 'redis.emptied');
  const agoMs = loss ? now.getTime() - Date.parse(loss.at) : Number.POSITIVE_INFINITY;
  return agoMs > EMPTIED_MS ? [] : [{ level: 'warn', code: 'redisEmptied', figures: { spanMs: agoMs } }];
}
