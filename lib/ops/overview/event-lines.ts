import type { RecentEvent } from '../../cluster/recent-events';
import type { Translate } from '../../core/i18n';
import type { IconName } from '../page/icons';
import type { Tone, Words } from './words';

/** Something that has happened, as a line. */
export interface EventLine {
  readonly at: Date;
  /** `14:02:03` within the day, else the day. */
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
const act: Look = { tone: 'ok', icon: 'key' };

/** How each event looks. Its text is `overview.event.<name>`, with `-` for its dots. */
const LOOKS: Readonly<Record<string, Look>> = {
  'primary.listening': calm,
  'worker.ready': calm,
  'worker.exited': dead,
  'worker.replaced': renewal,
  'worker.silent': bad,
  'processor.ready': calm,
  'processor.exited': dead,
  'processor.silent': bad,
  'processor.kept': bad,
  'processor.circuit': bad,
  'processor.stopped': { tone: 'warn', icon: 'drain' },
  'phase.started': deploy,
  'phase.completed': deploy,
  'phase.abandoned': warn,
  'memory.high': warn,
  'embedded.lost': warn,
  'service.away': bad,
  'service.back': calm,
  'operator.command': act,
  'operator.jobs': act,
  'operator.queue': act,
  'operator.cron': act,
  'operator.process': act,
  'operator.mails': act,
  'operator.adopted': act,
  'operator.refused': warn,
  'installation.foreign': bad,
  'dead.dropped': warn,
  'queue.restored': warn,
  'redis.emptied': warn,
};

const DAY_MS = 86_400_000;

/** Newest first. @param acts what operators have done with what all trees share. */
export function eventLines(
  events: readonly RecentEvent[],
  words: Words,
  most: number,
  acts: readonly RecentEvent[] = [],
): EventLine[] {
  const all = [...events, ...acts].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
  return all.slice(0, most).map((event) => {
    const at = new Date(event.at);
    const look = LOOKS[event.name] ?? calm;
    const recent = words.now.getTime() - at.getTime() < DAY_MS;
    const when = recent ? event.at.slice(11, 19) : event.at.slice(0, 10);
    return { at, when, ...look, text: textOf(event, words) };
  });
}

/** Lengths of time and sizes that are told rounded. */
const SPANS = ['durationMs', 'silentMs', 'awayMs'] as const;
const SIZES = ['totalMb', 'limitMb', 'workerMb'] as const;
/** What is told of an event has a text of its own for each of these values. */
const KINDS = ['dead.dropped', 'operator.jobs', 'operator.queue', 'operator.cron', 'operator.mails'];
const SERVICES: Readonly<Record<string, string>> = { redis: 'Redis', postgres: 'Postgres' };

function textOf({ name, about }: RecentEvent, words: Words): string {
  const { t, veiled } = words;
  const kind = KINDS.includes(name) ? `-${about.reason ?? about.action}` : '';
  const key = `overview.event.${name.replaceAll('.', '-')}${kind}`;
  const values: Record<string, unknown> = Object.assign(Object.create(null), about);
  for (const length of SPANS) {
    const ms = about[length];
    if (typeof ms === 'number') values.span = words.time.span(ms);
  }
  for (const size of SIZES) {
    const mb = about[size];
    if (typeof mb === 'number') values[size] = Math.round(mb);
  }
  if ('signal' in about) values.how = about.signal ?? t('overview.event.code', { code: about.code });
  if ('via' in about) values.via = askerOf(String(about.via), words);
  if (typeof about.command === 'string') values.command = commandWords(about.command, t);
  if ('service' in about) values.service = SERVICES[String(about.service)] ?? about.service;
  if (name === 'operator.jobs') values.what = t(`overview.event.jobsOf.${about.set}`, { count: about.count });
  if (name === 'operator.queue' && about.action === 'clear') values.count = about.jobs;
  // Why a deploy was given up is told with what a process printed.
  if (veiled && 'reason' in about && name !== 'worker.replaced') values.reason = '…';
  if (name === 'worker.replaced') values.why = t(`overview.event.why.${about.reason}`);
  return t(key, values);
}

/** `recycle 1`, in the reader's words; as it is typed where it has none. */
function commandWords(typed: string, t: Translate): string {
  const [, name = typed, n = ''] = /^(.*?)(?: (\d+))?$/.exec(typed) ?? [];
  const key = `overview.event.command.${name}`;
  const words = t(key, { n });
  return words === key ? typed : words;
}

/** Who asked: an operator at these pages, somebody at a terminal, a signal. Viewers are not told from where. */
function askerOf(via: string, { t, veiled }: Words): string {
  const [, address] = /^the operator's pages, (.+)$/s.exec(via) ?? [];
  const [, user] = /^cli \((.+)\)$/s.exec(via) ?? [];
  const atTerminal = user !== undefined || via === 'the control socket';
  if (veiled) return t(atTerminal ? 'overview.event.terminal' : 'overview.event.somebody');
  if (address !== undefined) return t('overview.event.pages', { address });
  if (user !== undefined) return t('overview.event.terminalOf', { user });
  return atTerminal ? t('overview.event.terminal') : via;
}
