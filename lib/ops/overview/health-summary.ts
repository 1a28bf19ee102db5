import { reasonText, sentenceOf } from '../../core/event-catalog';
import { causeText, partText } from '../../core/failure-cause';
import type { Translate } from '../../core/i18n';
import { isNotable, type NotableEvent, type RecentEvent } from '../../core/notable-events';
import { bySeverity, type Issue, type IssueCode, readyWorkers } from '../../health/issues';
import type { Judgement } from '../../health/judge';
import type { SystemStatus } from '../../health/status-collector';
import type { OpsContext } from '../ui/context';
import { type Formatter, facts, type Tone } from '../ui/format';
import type { IconName } from '../ui/layout';
import { linkWith } from '../ui/shell';
import { load } from './process-cards';
import type { TreeHealth } from './tree-health';

interface IssueLine {
  /** Unique on the page. */
  readonly id: string;
  readonly tone: 'bad' | 'warn';
  readonly href: string;
  readonly head: string;
  readonly rest: string;
}

/** The verdict on the tree with the issues behind it. */
export interface VerdictView {
  readonly tone: Tone;
  readonly icon: IconName;
  readonly title: string;
  readonly line: string;
  readonly issues: readonly IssueLine[];
}

export function healthSummary(
  shown: TreeHealth | undefined,
  systemStatus: SystemStatus,
  judgement: Judgement,
  format: Formatter,
): VerdictView {
  const { t } = format;
  const lines = judgement.issues.map((issue): IssueLine => {
    const { code, level: tone, subject = '' } = issue;
    const href = issueHref(issue, judgement.trees.find(({ own }) => own)?.treeStatus.id);
    return { id: `${code}-${subject}`, tone, href, ...issueWords(issue, format) };
  });
  const { level: tone } = judgement;
  const line = shown ? lineOf(shown, systemStatus, format) : t('overview.verdict.noPrimary');
  const icon = tone === 'busy' ? 'restart' : tone;
  return { tone, icon, title: judgementTitle(judgement, format), line, issues: lines };
}

function lineOf({ treeStatus, unresponsiveFor }: TreeHealth, { queues }: SystemStatus, format: Formatter): string {
  const { t, span } = format;
  if (unresponsiveFor !== null) return t('overview.say.unheard', { span: unresponsiveFor });
  const { stats } = treeStatus;
  const { pssMb: used, limitMb: limit } = stats.memory;
  const requests = load(treeStatus);
  const waiting = queues.ok ? queues.value.reduce((sum, one) => sum + one.waiting + one.blocked, 0) : null;
  const oldest = queues.ok ? Math.max(0, ...queues.value.map(({ latencyMs, paused }) => (paused ? 0 : latencyMs))) : 0;
  return facts(
    stats.workers > 0 && t('overview.verdict.workers', { ready: readyWorkers(treeStatus), count: stats.workers }),
    requests &&
      t(requests.waiting > 0 ? 'overview.verdict.busy' : 'overview.verdict.inFlight', {
        inFlight: requests.inFlight,
        of: requests.of,
        waiting: requests.waiting,
      }),
    waiting !== null &&
      (waiting === 0 ? t('overview.verdict.noJobWaits') : t('overview.verdict.jobsWait', { count: waiting })),
    oldest > 0 && t('overview.verdict.oldest', { span: span(oldest) }),
    used !== null && limit !== null && t('overview.verdict.memory', { percent: format.percent(used / limit) }),
  );
}

/** A tree in the list of all trees. */
export interface TreeTab {
  readonly id: string;
  readonly name: string;
  readonly tone: Tone;
  readonly href: string;
  readonly current: boolean;
  /** Load and memory, such as `12/20 · 88 %`. */
  readonly figures: string;
  /** Share of its memory limit in use, percent. */
  readonly percent: number;
}

export function treeTab(
  { treeStatus, own, unresponsiveFor, issues }: TreeHealth,
  current: boolean,
  format: Formatter,
): TreeTab {
  const { id, name, stats } = treeStatus;
  const { pssMb: used, limitMb: limit } = stats.memory;
  const requests = load(treeStatus);
  const share = used !== null && limit !== null ? format.percent(used / limit) : null;
  const figures = [
    requests ? `${requests.inFlight}/${requests.of}` : format.t('overview.trees.jobsOnly'),
    share === null ? format.mb(used) : `${share} %`,
  ];
  return {
    id,
    name,
    tone: unresponsiveFor === null ? (bySeverity(issues)[0]?.level ?? 'ok') : 'unknown',
    href: hrefOf('/ops', own ? null : id),
    current,
    figures:
      unresponsiveFor === null
        ? figures.join(' · ')
        : format.t('overview.trees.unresponsive', { span: unresponsiveFor }),
    percent: unresponsiveFor === null ? Math.min(100, share ?? 0) : 0,
  };
}

/** @param tree id of a tree; null for the one that serves the page. */
export function hrefOf(path: string, tree: string | null, hash = ''): string {
  return linkWith(path, '', { tree }) + hash;
}

/** Id of the tree that the query names; null for the one that serves the page. */
export function chosenTree({ query }: Pick<OpsContext, 'query'>): string | null {
  return typeof query.tree === 'string' && query.tree !== '' ? query.tree : null;
}

/** An event, as a line. */
export interface EventLine {
  readonly at: Date;
  /** `14:02:03` within the last day, else the date. */
  readonly when: string;
  readonly tone: Tone;
  readonly icon: IconName;
  readonly text: string;
}

interface Look {
  readonly tone: Tone;
  readonly icon: IconName;
}

const calm: Look = { tone: 'ok', icon: 'ok' };
const renewal: Look = { tone: 'ok', icon: 'restart' };
const deploy: Look = { tone: 'ok', icon: 'deploy' };
const bad: Look = { tone: 'bad', icon: 'bad' };
const dead: Look = { tone: 'bad', icon: 'restart' };
const warn: Look = { tone: 'warn', icon: 'warn' };
const action: Look = { tone: 'ok', icon: 'key' };

/** Tone and icon of each event. */
const LOOKS: Readonly<Record<NotableEvent, Look>> = {
  'primary.listening': calm,
  'worker.ready': calm,
  'worker.exited': dead,
  'worker.replaced': renewal,
  'worker.unresponsive': bad,
  'processor.ready': calm,
  'processor.exited': dead,
  'processor.unresponsive': bad,
  'processor.stalled': bad,
  'processor.moves': calm,
  'processor.kept': bad,
  'processor.crash-loop': bad,
  'processor.stopped': { tone: 'warn', icon: 'drain' },
  'phase.started': deploy,
  'phase.completed': deploy,
  'phase.aborted': warn,
  'memory.high': warn,
  'embedded.exited': warn,
  'service.lost': bad,
  'service.restored': calm,
  'operator.command': action,
  'operator.jobs': action,
  'operator.queue': action,
  'operator.cron': action,
  'operator.processor': action,
  'operator.mails': action,
  'operator.adopted': action,
  'operator.rejected': warn,
  'operator.failed': warn,
  'installation.foreign': bad,
  'dead.dropped': warn,
};

const DAY_MS = 86_400_000;

/** Lines of events, the newest first. @param actions operators' actions on jobs, queues and mails, which all trees share. */
export function eventLines(
  events: readonly RecentEvent[],
  format: Formatter,
  most: number,
  actions: readonly RecentEvent[] = [],
): EventLine[] {
  const all = [...events, ...actions].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
  return all.slice(0, most).map((event) => {
    const at = new Date(event.at);
    const look = isNotable(event.name) ? LOOKS[event.name] : calm;
    const recent = format.now.getTime() - at.getTime() < DAY_MS;
    const when = recent ? event.at.slice(11, 19) : event.at.slice(0, 10);
    return { at, when, ...look, text: textOf(event, format) };
  });
}

/** Fields with durations and sizes, which are formatted and rounded. */
const SPANS = ['durationMs', 'heartbeatAgeMs', 'outageMs'] as const;
const SIZES = ['totalMb', 'limitMb', 'workerMb'] as const;
/** Events whose sentence depends on a value: its key ends with the `reason`, else the `action`. */
const KINDS = ['dead.dropped', 'operator.jobs', 'operator.queue', 'operator.cron', 'operator.mails'];
const SERVICES: Readonly<Record<string, string>> = { redis: 'Redis', postgres: 'Postgres' };

/** The event's sentence, `overview.sentence.<name>`. For English it is that of the event catalogue. */
function textOf(event: RecentEvent, format: Formatter): string {
  const { t, redacted } = format;
  const about = { ...event.about };
  if ('via' in about) about.via = format.caller(String(about.via));
  // The reason of an aborted deploy contains output of a process, which viewers must not see.
  if (redacted && 'reason' in about && !KINDS.includes(event.name) && event.name !== 'worker.replaced')
    about.reason = '…';
  if (typeof about.command === 'string' && event.name !== 'operator.failed')
    about.command = commandWords(about.command, t);
  const kind = KINDS.includes(event.name) ? `-${about.reason ?? about.action}` : '';
  const key = `overview.sentence.${event.name.replaceAll('.', '-')}${kind}`;
  const text = t(key, valuesOf({ ...event, about }, format));
  return text === key ? capitalized(sentenceOf(event.name, about) ?? event.name) : text;
}

/** Values for the event's sentence. */
function valuesOf({ name, about }: RecentEvent, { t, span }: Formatter): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = Object.assign(Object.create(null), about);
  for (const length of SPANS) {
    const ms = about[length];
    if (typeof ms === 'number') values.span = span(ms);
  }
  for (const size of SIZES) {
    const mb = about[size];
    if (typeof mb === 'number') values[size] = Math.round(mb);
  }
  if ('signal' in about) values.how = about.signal ?? t('overview.sentence.code', { code: about.code });
  if ('service' in about) values.service = SERVICES[String(about.service)] ?? about.service;
  if (name === 'operator.failed') values.command = actionWords(about, t);
  if (name === 'operator.jobs') values.what = t(`overview.sentence.jobsOf.${about.set}`, { count: about.count });
  if (name === 'operator.queue' && about.action === 'clear') values.count = about.jobs;
  if (name === 'processor.stalled' || name === 'processor.moves') {
    values.part = partWords(String(about.part), t);
    values.cause = causeWords(String(about.cause), t);
    values.span = span(Number(about.spanMs));
  }
  if (name === 'worker.replaced') values.why = replacementReason(String(about.reason), t);
  return values;
}

function capitalized(sentence: string): string {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}

/** The reason why a worker was replaced, in words. */
export function replacementReason(reason: string, t: Translate): string {
  const key = `overview.sentence.why.${reason}`;
  const text = t(key);
  return text === key ? reasonText(reason) : text;
}

/** A part of the tree's jobs, in words. */
function partWords(part: string, t: Translate): string {
  const key = `overview.sentence.part.${part}`;
  const text = t(key);
  return text === key ? partText(part) : text;
}

/** The reason why it stands still, in words. */
function causeWords(cause: string, t: Translate): string {
  const key = `overview.sentence.cause.${cause}`;
  const text = t(key);
  return text === key ? causeText(cause) : text;
}

/** A command such as `recycle 1` in words, or as typed when there is no text for it. */
function commandWords(typed: string, t: Translate): string {
  const [, name = typed, n = ''] = /^(.*?)(?: (\d+))?$/.exec(typed) ?? [];
  const key = `overview.event.command.${name}`;
  const words = t(key, { n });
  return words === key ? typed : words;
}

/** An operator's action in words. */
function actionWords({ command, of, count }: RecentEvent['about'], t: Translate): string {
  return t(`overview.sentence.action.${command}`, { name: of, what: t(`overview.sentence.jobsOf.${of}`, { count }) });
}

/** An issue in words: `head` becomes the link to its cause, `rest` follows it. */
interface IssueWords {
  readonly head: string;
  readonly rest: string;
}

/** Maximum length of an issue's detail, such as a mail server's answer, characters. */
const MAX_DETAIL = 120;
const PROCESSES = '/ops/processes';

/** The texts are `overview.issue.<code>.head` and `.rest`. */
function issueWords({ code, figures, termination, by, holders, detail }: Issue, format: Formatter): IssueWords {
  const { t, redacted } = format;
  const values: Record<string, unknown> = { ...figures };
  for (const [name, figure] of Object.entries(figures))
    if (name.endsWith('Ms')) values[name.slice(0, -2)] = format.span(Math.max(0, Number(figure)));
  if (termination !== undefined) values.cause = termination ? format.cause(termination) : '';
  values.detail = redacted ? '' : (detail ?? '').slice(0, MAX_DETAIL);
  values.activity = values.detail === '' ? '' : t('overview.issue.activity', { what: values.detail });
  if (by !== undefined) values.by = format.caller(by);
  if (figures.part !== undefined) values.part = partWords(String(figures.part), t);
  if (code === 'stalled') values.cause = causeWords(String(figures.cause), t);
  values.holders = format.holders(holders ?? []);
  if (figures.place !== undefined) values.where = t(`overview.issue.cronPlace.${figures.place}`);
  const texts = `overview.issue.${code}`;
  // Without a record of a sent mail the time since the last one is unknown.
  const isNever = code === 'mailFails' && figures.unsentMs === undefined;
  const rest = isNever ? 'never' : 'rest';
  const head = code === 'redisFull' && Number(figures.percent) >= 100 ? 'full' : 'head';
  return { head: t(`${texts}.${head}`, values).trim(), rest: t(`${texts}.${rest}`, values).trim() };
}

/** An issue in one line. */
export function issueLine(issue: Issue, format: Formatter): string {
  const { head, rest } = issueWords(issue, format);
  return `${head} ${rest}`.trim();
}

/** The verdict in a few words. */
export function judgementTitle({ issues, transit }: Pick<Judgement, 'issues' | 'transit'>, { t }: Formatter): string {
  const codes = new Set(issues.map(({ code }) => code));
  if (codes.has('redisAway') && codes.has('postgresAway')) return t('overview.verdict.bothAway');
  if (codes.has('redisAway')) return t('overview.verdict.redisAway');
  if (codes.has('postgresAway')) return t('overview.verdict.postgresAway');
  if (issues.length > 0) return t('overview.verdict.needs', { count: issues.length });
  return t(`overview.verdict.${transit ?? 'well'}`);
}

/** Path of the page with the issue's cause. */
function issueHref({ code, subject }: Issue, ownId: string | undefined): string {
  if (code === 'treeUnresponsive' || code === 'otherTree')
    return hrefOf('/ops', subject === undefined || subject === ownId ? null : subject);
  const to = HREFS[code];
  return typeof to === 'string' ? to : to(encodeURIComponent(subject ?? ''));
}

const ofWorker = (slot: string) => `${PROCESSES}#worker-${slot}`;
const ofQueue = (queue: string) => `/ops/jobs/queues/${queue}`;

const HREFS: Readonly<
  Record<Exclude<IssueCode, 'treeUnresponsive' | 'otherTree'>, string | ((subject: string) => string)>
> = {
  noPrimary: '/ops',
  migrationsPending: '#postgres',
  migrationsUnread: '#postgres',
  nobodyServes: PROCESSES,
  restarts: ofWorker,
  hot: ofWorker,
  unresponsive: ofWorker,
  crashLoop: `${PROCESSES}#jobs`,
  jobsRestart: `${PROCESSES}#jobs`,
  jobsStopped: `${PROCESSES}#jobs`,
  jobsQuiet: `${PROCESSES}#jobs`,
  jobsUnresponsive: `${PROCESSES}#jobs`,
  listenDeaf: '#postgres',
  left: '/ops/jobs/scheduled',
  stalled: `${PROCESSES}#jobs`,
  shed: '#throughput',
  serverErrors: '#throughput',
  memory: '#memory',
  phase: PROCESSES,
  redisAway: '/ops',
  postgresAway: '/ops',
  postgresReadOnly: '#postgres',
  foreign: '/ops/jobs/scheduled',
  paused: ofQueue,
  late: ofQueue,
  slotsHeld: '/ops/jobs/busy',
  unserved: ofQueue,
  failing: (name) => `/ops/jobs/classes/${name}`,
  deaths: '/ops/jobs/dead',
  cronFails: '/ops/jobs/cron',
  connections: '#postgres',
  connectionsPlanned: '#postgres',
  redisFull: '#redis',
  eviction: '#redis',
  mailFails: '/ops/mail/deliveries?state=failed',
};
