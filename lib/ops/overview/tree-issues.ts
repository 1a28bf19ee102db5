import type { TreePicture } from '../../cluster/tree-picture';
import { causeWords } from './death-words';
import type { Issue } from './issue';
import type { NodeView } from './node-view';
import { readyWorkers } from './primary-view';
import type { Words } from './words';

const PROCESSES = '/ops/processes';

/** What is wrong with the processes of a tree. @param nodes its cards. */
export function treeIssues(picture: TreePicture, nodes: readonly NodeView[], words: Words): Issue[] {
  return [
    ...workerIssues(picture, nodes, words),
    ...jobsIssues(picture, words),
    ...trafficIssues(picture),
    ...memoryIssues(picture, words),
    ...phaseIssues(picture, words),
  ];
}

function workerIssues(picture: TreePicture, nodes: readonly NodeView[], words: Words): Issue[] {
  const { slots, stats } = picture;
  const issues: Issue[] = [];
  if (stats.workers > 0 && readyWorkers(picture) === 0 && !picture.stopping)
    issues.push({ tone: 'bad', key: 'nobodyServes', values: { count: stats.workers }, href: PROCESSES });
  for (const node of nodes.filter(({ kind, tone }) => kind === 'worker' && (tone === 'bad' || tone === 'warn'))) {
    const slot = slots.find(({ index }) => node.id === `worker-${index}`);
    const href = `${PROCESSES}#${node.id}`;
    const values = { slot: slot?.index };
    if (node.tone === 'bad' && slot) {
      const { death, nextTry } = slot;
      const cause = death ? causeWords(death, words) : '';
      issues.push({ tone: 'bad', key: 'restarts', values: { ...values, attempt: nextTry?.attempt ?? 1, cause }, href });
    } else if (node.hot)
      issues.push({ tone: 'warn', key: 'hot', values: { ...values, memory: node.memory.text }, href });
    else if (node.icon === 'warn')
      issues.push({ tone: 'warn', key: 'silent', values: { ...values, say: node.say }, href });
  }
  return issues;
}

function jobsIssues({ stats, processor, limits }: TreePicture, words: Words): Issue[] {
  const href = `${PROCESSES}#jobs`;
  if (limits.jobConcurrency === 0) return [];
  const count = processor.nextTry?.attempt ?? 0;
  const cause = processor.death ? causeWords(processor.death, words) : '';
  switch (stats.job_processor.state) {
    case 'circuit open':
      return [{ tone: 'bad', key: 'circuit', values: { count, cause }, href }];
    case 'waiting':
      return [{ tone: 'bad', key: 'jobsRestart', values: { attempt: count, cause }, href }];
    case 'stopped':
      return [{ tone: 'warn', key: 'jobsStopped', values: {}, href }];
    case 'quiet':
      return [{ tone: 'warn', key: 'jobsQuiet', values: {}, href }];
    default:
      return [];
  }
}

function trafficIssues({ rates }: TreePicture): Issue[] {
  const { turnedAway, serverErrors } = rates;
  const issues: Issue[] = [];
  if (turnedAway > 0)
    issues.push({ tone: 'bad', key: 'turnedAway', values: { count: turnedAway }, href: '#throughput' });
  const own = serverErrors - turnedAway;
  if (own > 0) issues.push({ tone: 'warn', key: 'serverErrors', values: { count: own }, href: '#throughput' });
  return issues;
}

function memoryIssues({ stats, limits }: TreePicture, words: Words): Issue[] {
  const { pss_mb: used, limit_mb: limit } = stats.memory;
  if (used === null || limit === null || limits.recycleAboveMb === null || used <= limits.recycleAboveMb) return [];
  const tone = used > limit ? 'bad' : 'warn';
  return [
    {
      tone,
      key: 'memory',
      values: { percent: words.percent(used / limit), used: Math.round(used), limit },
      href: '#memory',
    },
  ];
}

function phaseIssues({ stats }: TreePicture, { veiled }: Words): Issue[] {
  const { last_phase: last } = stats;
  if (!last || last.completed) return [];
  return [
    {
      tone: 'warn',
      key: 'phase',
      values: { phase: last.phase, reason: veiled ? '…' : (last.reason ?? '') },
      href: PROCESSES,
    },
  ];
}
