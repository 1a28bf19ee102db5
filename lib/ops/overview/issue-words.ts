import type { Issue, IssueCode } from '../../verdict/issue';
import type { Judgement } from '../../verdict/judge';
import type { Holder } from '../../verdict/slot-holders';
import { workWords } from '../page/doings';
import { causeWords } from './death-words';
import { hrefOf } from './tree-strip';
import type { Words } from './words';

/** An issue in the reader's words: what leads to its cause, and the rest. */
export interface IssueWords {
  readonly head: string;
  readonly rest: string;
}

const LONGEST = 120;
const PROCESSES = '/ops/processes';

/** The texts are `overview.issue.<code>.head` and `.rest`. */
export function issueWords({ code, figures, death, holders, detail }: Issue, words: Words): IssueWords {
  const { t, time, veiled } = words;
  const values: Record<string, unknown> = { ...figures };
  for (const [name, figure] of Object.entries(figures))
    if (name.endsWith('Ms')) values[name.slice(0, -2)] = time.span(Math.max(0, Number(figure)));
  if (death !== undefined) values.cause = death ? causeWords(death, words) : '';
  values.detail = veiled ? '' : (detail ?? '').slice(0, LONGEST);
  values.doing = values.detail === '' ? '' : t('overview.issue.doing', { what: workWords(String(values.detail), t) });
  values.holders = holderWords(holders ?? [], words);
  if (figures.place !== undefined) values.where = t(`overview.issue.cronPlace.${figures.place}`);
  const texts = `overview.issue.${code}`;
  // Where no record tells of a mail that was sent, nobody knows since when there is none.
  const rest = code === 'mailFails' && figures.unsentMs === undefined ? 'never' : 'rest';
  return { head: t(`${texts}.head`, values).trim(), rest: t(`${texts}.${rest}`, values).trim() };
}

/** `2 × ImportJob, for up to 90 s`. */
export function holderWords(holders: readonly Holder[], { t, time }: Words): string {
  return holders
    .map(({ class: name, count, ageMs }) => t('overview.issue.holder', { name, count, span: time.span(ageMs) }))
    .join(', ');
}

/** In a line each. */
export function issueLine(issue: Issue, words: Words): string {
  const { head, rest } = issueWords(issue, words);
  return `${head} ${rest}`.trim();
}

/** How all is, in a few words. */
export function judgementTitle({ issues, transit }: Pick<Judgement, 'issues' | 'transit'>, { t }: Words): string {
  const codes = new Set(issues.map(({ code }) => code));
  if (codes.has('redisAway') && codes.has('postgresAway')) return t('overview.verdict.bothAway');
  if (codes.has('redisAway')) return t('overview.verdict.redisAway');
  if (codes.has('postgresAway')) return t('overview.verdict.postgresAway');
  if (issues.length > 0) return t('overview.verdict.needs', { count: issues.length });
  return t(`overview.verdict.${transit ?? 'well'}`);
}

/** Where its cause is. */
export function issueHref({ code, subject }: Issue, ownId: string | undefined): string {
  if (code === 'treeSilent' || code === 'otherTree')
    return hrefOf('/ops', subject === undefined || subject === ownId ? null : subject);
  const to = HREFS[code];
  return typeof to === 'string' ? to : to(encodeURIComponent(subject ?? ''));
}

const ofWorker = (slot: string) => `${PROCESSES}#worker-${slot}`;
const ofQueue = (queue: string) => `/ops/jobs/queues/${queue}`;

const HREFS: Readonly<Record<Exclude<IssueCode, 'treeSilent' | 'otherTree'>, string | ((subject: string) => string)>> =
  {
    noPrimary: '/ops',
    nobodyServes: PROCESSES,
    restarts: ofWorker,
    hot: ofWorker,
    silent: ofWorker,
    circuit: `${PROCESSES}#jobs`,
    jobsRestart: `${PROCESSES}#jobs`,
    jobsStopped: `${PROCESSES}#jobs`,
    jobsQuiet: `${PROCESSES}#jobs`,
    jobsSilent: `${PROCESSES}#jobs`,
    turnedAway: '#throughput',
    serverErrors: '#throughput',
    memory: '#memory',
    phase: PROCESSES,
    redisAway: '/ops',
    postgresAway: '/ops',
    foreign: '/ops/jobs/scheduled',
    redisEmptied: '#events',
    paused: ofQueue,
    late: ofQueue,
    slotsHeld: '/ops/jobs/busy',
    unserved: ofQueue,
    failing: (name) => `/ops/jobs/classes/${name}`,
    deaths: '/ops/jobs/dead',
    cronFails: '/ops/jobs/cron',
    connections: '#postgres',
    redisFull: '#redis',
    eviction: '#redis',
    mailFails: '/ops/mail/deliveries?state=failed',
  };
