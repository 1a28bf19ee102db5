import { refusalOf } from '../../core/failure-cause';
import type { Translate } from '../../core/i18n';
import type { Issue, IssueCode } from '../../health/issues';
import type { Judgement } from '../../health/judge';
import { truncate } from '../../support/text-table';
import type { Formatter } from '../ui/format';
import { linkToTree } from './chosen-tree';
import { causeWords, childName, failureWords, partWords, STATEMENT } from './event-lines';

/** An issue in words: `head` becomes the link to its cause, `rest` follows it. */
interface IssueWords {
  readonly head: string;
  readonly rest: string;
  /** The parts of `rest`; those with odd indices are commands. */
  readonly parts: readonly string[];
  /** `head` and `rest` without what helps. */
  readonly fact: string;
}

/** Maximum length of an issue's detail, such as a mail server's answer, columns of a terminal. */
const MAX_DETAIL = 120;

/**
 * The texts are `overview.issue.<code>.head`, `.rest` and `.remedy`, which says what helps; redisFull has also `full`, and
 * mailFails `never`: no sent mail is on record. `jobsRemedy` is that of a processor that died of its jobs. The remedy of a
 * standstill and of an outage is that of its cause. A figure `spanMs` becomes the value `span`, in words. Commands stand in
 * backticks, which only the page shows, in its way.
 */
export function issueWords({ code, figures, termination, by, holders, detail }: Issue, format: Formatter): IssueWords {
  const { t } = format;
  const values: Record<string, unknown> = { ...figures };
  for (const [name, figure] of Object.entries(figures))
    if (name.endsWith('Ms')) values[name.slice(0, -2)] = format.span(Math.max(0, Number(figure)));
  if (termination !== undefined) values.cause = termination ? format.cause(termination) : '';
  // A backtick of somebody else's text begins no command. The statement that failed is in the log.
  values.detail = truncate(failureWords((detail ?? '').replace(STATEMENT, ''), t), MAX_DETAIL).replaceAll('`', "'");
  values.activity = values.detail === '' ? '' : t('overview.issue.activity', { what: values.detail });
  values.hand = values.detail === '' ? '' : t('overview.issue.hand', { what: values.detail });
  values.largest = code === 'memory' && figures.slot !== undefined ? t('overview.issue.largest', values) : '';
  values.again = code === 'leaks' && Number(figures.count) > 1 ? t('overview.issue.again', values) : '';
  if (code === 'leaks') values.who = childName(figures.slot ?? null, t);
  values.load = figures.slot === undefined ? 'JOB_CONCURRENCY' : 'WEB_CONCURRENCY';
  values.of = figures.table ? t('overview.issue.ofTable', values) : '';
  if (figures.way !== undefined) values.way = t(`overview.issue.clockWay.${figures.way}`);
  if (by !== undefined) values.by = format.caller(by);
  if (figures.reason !== undefined) values.reason = failureWords(String(figures.reason), t);
  if (figures.part !== undefined) values.part = partWords(String(figures.part), t);
  if (figures.cause !== undefined) values.cause = causeWords(String(figures.cause), t);
  values.setting = SETTINGS[code] ?? (figures.part === 'mail' ? 'SMTP_URL' : 'DATABASE_URL');
  // A full stop follows it.
  values.because = values.detail === '' ? '' : `: ${String(values.detail).replace(/\.$/, '')}`;
  values.dead = Number(figures.dead ?? 0) > 0 ? t('overview.issue.dead', { count: figures.dead }) : '';
  values.theDead = values.dead === '' ? '' : t('overview.issue.failing.theDead');
  values.holders = format.holders(holders ?? []);
  values.taken = values.holders === '' ? '' : t('overview.issue.taken', { holders: values.holders });
  values.class ??= holders?.[0]?.class;
  if (figures.place !== undefined) values.where = t(`overview.issue.cronPlace.${figures.place}`);
  const texts = `overview.issue.${code}`;
  const isNever = code === 'mailFails' && figures.unsentMs === undefined;
  const rest = isNever ? 'never' : 'rest';
  const head = code === 'redisFull' && Number(figures.percent) >= 100 ? 'full' : 'head';
  const refused = refusalWords({ code, figures }, t);
  const ofCause = figures.cause !== undefined && (code === 'stalled' || figures.cause !== 'other');
  const ofJobs = figures.queue && values.hand !== '' ? `${texts}.jobsRemedy` : `${texts}.remedy`;
  const remedy = ofCause ? `overview.issue.causeRemedy.${figures.cause}` : ofJobs;
  const remedyText = t(remedy, values);
  // Some say what helps in their `rest`. What somebody else has said may end a sentence by itself.
  const [alone = '', help = ''] = [t(`${texts}.${rest}`, values).trim(), remedyText === remedy ? '' : remedyText].map(
    (text) => text.replace(/(?<=[?!…])\./g, ''),
  );
  const parts = `${alone} ${help}`.trim().split('`');
  const words = refused ?? t(`${texts}.${head}`, values).trim();
  const fact = `${words} ${alone}`.replaceAll('`', '').trim();
  return { head: words, rest: parts.join(''), parts, fact };
}

/** The setting that names the server which is away. */
const SETTINGS: Partial<Record<IssueCode, string>> = { redisAway: 'REDIS_URL', postgresAway: 'DATABASE_URL' };
const SERVERS: Partial<Record<IssueCode, string>> = { redisAway: 'Redis', postgresAway: 'Postgres' };

/** @returns undefined unless the issue is that of a server which answers, and refuses what is asked of it. */
function refusalWords({ code, figures }: Pick<Issue, 'code' | 'figures'>, t: Translate): string | undefined {
  const refused = SERVERS[code] && refusalOf(String(figures.cause));
  return refused && `${SERVERS[code]} ${t(`overview.phase.${refused}`)}`;
}

export function issueLine(issue: Issue, format: Formatter): string {
  const { head, rest } = issueWords(issue, format);
  return `${head} ${rest}`.trim();
}

export function judgementTitle({ issues, transit }: Pick<Judgement, 'issues' | 'transit'>, { t }: Formatter): string {
  const [away, other] = issues.filter(({ code }) => code in SERVERS);
  if (away && !other) return refusalWords(away, t) ?? t(`overview.verdict.${away.code}`);
  if (away) return t('overview.verdict.bothAway');
  if (issues.length > 0) return t('overview.verdict.needs', { count: issues.length });
  return t(`overview.verdict.${transit ?? 'well'}`);
}

export function issueHref({ code, subject, figures }: Issue, ownId: string | undefined): string {
  if (code === 'treeUnresponsive' || code === 'otherTree')
    return linkToTree('/ops', subject === undefined || subject === ownId ? null : subject);
  const [, culprit] = code === 'stalled' ? (/^(postgres|redis)/.exec(String(figures.cause)) ?? []) : [];
  if (culprit) return `#${culprit}`;
  const to = HREFS[code];
  return typeof to === 'string' ? to : to(encodeURIComponent(subject ?? ''));
}

const ofWorker = (slot: string) => `#p-worker-${slot}`;
const ofQueue = (queue: string) => `/ops/jobs/queues/${queue}`;

const HREFS: Readonly<
  Record<Exclude<IssueCode, 'treeUnresponsive' | 'otherTree'>, string | ((subject: string) => string)>
> = {
  noPrimary: '/ops',
  migrationsPending: '#postgres',
  migrationsUnread: '#postgres',
  nobodyServes: '#p-primary',
  restarts: ofWorker,
  hot: ofWorker,
  unresponsive: ofWorker,
  crashLoop: '#p-jobs',
  jobsRestart: '#p-jobs',
  jobsQuiet: '#p-jobs',
  jobsUnresponsive: '#p-jobs',
  listenDeaf: '#postgres',
  left: '/ops/jobs/scheduled',
  stalled: (part) => (part === 'mail' ? '#mail' : '#p-jobs'),
  shed: '#throughput',
  serverErrors: '/ops/requests',
  memory: '#memory',
  phase: '#p-primary',
  redisAway: '#redis',
  postgresAway: '#postgres',
  postgresReadOnly: '#postgres',
  foreign: '/ops/jobs/scheduled',
  paused: ofQueue,
  late: ofQueue,
  slotsHeld: '/ops/jobs/busy',
  unserved: ofQueue,
  failing: (name) => `/ops/jobs/classes/${name}`,
  deaths: '/ops/jobs/dead',
  cronFails: '/ops/jobs/cron',
  cronMissed: '/ops/jobs/cron',
  connections: '#postgres',
  connectionsPlanned: '#postgres',
  redisFull: '#redis',
  eviction: '#redis',
  mailFails: '/ops/mail/deliveries?state=failed',
  overtime: '/ops/jobs/busy',
  rejected: '#throughput',
  leaks: '#memory',
  locked: '#postgres',
  redisEmptied: '#redis',
  clockSet: '#p-primary',
};
