import { eventSentence, reasonText } from '../../core/event-catalog';
import { causeText, partText } from '../../core/failure-cause';
import type { Translate } from '../../core/i18n';
import { type Look, lookOf, type RecentEvent } from '../../core/notable-events';
import type { Formatter, Tone } from '../ui/format';
import type { IconName } from '../ui/layout';

export interface EventLine {
  readonly at: Date;
  /** `14:02:03` within the last day, else the date. */
  readonly when: string;
  readonly tone: Tone;
  readonly icon: IconName;
  readonly text: string;
}

const LOOKS: Readonly<Record<Look, { readonly tone: Tone; readonly icon: IconName }>> = {
  calm: { tone: 'ok', icon: 'ok' },
  renewal: { tone: 'ok', icon: 'restart' },
  deploy: { tone: 'ok', icon: 'deploy' },
  bad: { tone: 'bad', icon: 'bad' },
  dead: { tone: 'bad', icon: 'restart' },
  warn: { tone: 'warn', icon: 'warn' },
  action: { tone: 'ok', icon: 'key' },
};

const DAY_MS = 86_400_000;
/** What the message of an error of Postgres ends with. */
export const STATEMENT = / \(in(?: an earlier statement)?: .*$/s;

export function eventLines(events: readonly RecentEvent[], format: Formatter, most: number): EventLine[] {
  return events.slice(0, most).map((event) => {
    const at = new Date(event.at);
    const recent = format.now.getTime() - at.getTime() < DAY_MS;
    const when = recent ? event.at.slice(11, 19) : event.at.slice(0, 10);
    return { at, when, ...LOOKS[lookOf(event.name)], text: formatSentence(event, format) };
  });
}

/** Fields with durations and sizes, which are formatted and rounded. */
const SPANS = ['durationMs', 'heartbeatAgeMs', 'awayMs'] as const;
const SIZES = ['totalMb', 'limitMb', 'workerMb'] as const;
/** Events whose sentence depends on a value: its key ends with the `reason`, else the `action`. */
const KINDS = ['dead.dropped', 'operator.jobs', 'operator.queue', 'operator.cron', 'operator.mails'];

/** The event's sentence, `overview.sentence.<name>`. For English it is that of the event catalogue. */
function formatSentence(event: RecentEvent, format: Formatter): string {
  const { t } = format;
  const about = { ...event.about };
  if ('via' in about) about.via = format.caller(String(about.via));
  // The statement that failed is in the log.
  if (typeof about.about === 'string') about.about = about.about.replace(STATEMENT, '');
  if (typeof about.command === 'string') about.command = commandWords(about.command, t);
  const kind = KINDS.includes(event.name) ? `-${about.reason ?? about.action}` : '';
  const key = `overview.sentence.${event.name.replaceAll('.', '-')}${kind}`;
  const text = t(key, sentenceValues({ ...event, about }, format));
  return text === key ? capitalized(eventSentence(event.name, about) ?? event.name) : text;
}

function sentenceValues({ name, about }: RecentEvent, { t, span }: Formatter): Readonly<Record<string, unknown>> {
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
  if (name === 'operator.jobs') values.what = t(`overview.sentence.jobsOf.${about.set}`, { count: about.count });
  if (name === 'operator.queue' && about.action === 'clear') values.count = about.jobs;
  if (name === 'processor.stalled' || name === 'processor.recovered') {
    values.part = partWords(String(about.part), t);
    values.cause = causeWords(String(about.cause), t);
    values.span = span(Number(about.spanMs));
    values.because = about.about ? ` (${about.about})` : '';
  }
  if (name === 'clock.set') {
    values.span = span(Math.abs(Number(about.ms)));
    values.way = t(`overview.issue.clockWay.${Number(about.ms) < 0 ? 'back' : 'forward'}`);
  }
  if (name === 'memory.high') values.who = childName(about.slot, t);
  if (name === 'phase.aborted') values.reason = failureWords(String(about.reason), t);
  if (name === 'worker.replaced') values.why = replacementReason(String(about.reason), t);
  return values;
}

/** @param slot of a worker; of the job processor it is null. */
export function childName(slot: unknown, t: Translate): string {
  return slot === null ? t('overview.name.processor') : t('overview.name.worker', { slot });
}

function capitalized(sentence: string): string {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}

export function replacementReason(reason: string, t: Translate): string {
  const key = `overview.sentence.why.${reason}`;
  const text = t(key);
  return text === key ? reasonText(reason) : text;
}

export function partWords(part: string, t: Translate): string {
  const key = `overview.sentence.part.${part}`;
  const text = t(key);
  return text === key ? partText(part) : text;
}

export function causeWords(cause: string, t: Translate): string {
  const key = `overview.sentence.cause.${cause}`;
  const text = t(key);
  return text === key ? causeText(cause) : text;
}

const REASONS: Readonly<Record<string, RegExp>> = {
  noClass: /^there is no job class (?<class>\S+) in this app$/,
  cannotBoot: /^(?:worker (?<slot>\d+)|the job processor) cannot boot(?=: )/,
  exited: /(?<=: )it exited with code (?<code>\d+)$/,
  notReady: /(?<=: )it was not ready in time$/,
};

/** Why a phased restart ended, or a job is left to others. What the app itself has said stays as it is. */
export function failureWords(reason: string, t: Translate): string {
  return Object.entries(REASONS).reduce((text, [name, pattern]) => {
    const found = pattern.exec(text);
    const key = `overview.sentence.reason.${name}`;
    const words = t(key, { ...found?.groups, who: childName(found?.groups?.slot ?? null, t) });
    return found && words !== key ? text.replace(found[0], () => words) : text;
  }, reason);
}

/** A command such as `recycle 1` in words, or as typed when there is no text for it. */
function commandWords(typed: string, t: Translate): string {
  const [, name = typed, n = ''] = /^(.*?)(?: (\d+))?(?: \d+)?$/.exec(typed) ?? [];
  const key = `overview.event.command.${name}`;
  const words = t(key, { n, count: Number(n) });
  return words === key ? typed : words;
}
