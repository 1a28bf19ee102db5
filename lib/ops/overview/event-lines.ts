import type { RecentEvent } from '../../cluster/recent-events';
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
  'operator.command': { tone: 'ok', icon: 'key' },
  'operator.refused': warn,
  'installation.foreign': bad,
  'dead.dropped': warn,
  'queue.restored': warn,
  'redis.emptied': warn,
};

const DAY_MS = 86_400_000;

/** Newest first. */
export function eventLines(events: readonly RecentEvent[], words: Words, most: number): EventLine[] {
  return events.slice(0, most).map((event) => {
    const at = new Date(event.at);
    const look = LOOKS[event.name] ?? calm;
    const recent = words.now.getTime() - at.getTime() < DAY_MS;
    const when = recent ? event.at.slice(11, 19) : event.at.slice(0, 10);
    return { at, when, ...look, text: textOf(event, words) };
  });
}

function textOf({ name, about }: RecentEvent, words: Words): string {
  const { t, veiled } = words;
  const why = name === 'dead.dropped' ? `-${about.reason}` : '';
  const key = `overview.event.${name.replaceAll('.', '-')}${why}`;
  const values: Record<string, unknown> = Object.assign(Object.create(null), about);
  for (const length of ['durationMs', 'silentMs'] as const) {
    const ms = about[length];
    if (typeof ms === 'number') values.span = words.time.span(ms);
  }
  for (const size of ['totalMb', 'limitMb', 'workerMb'] as const) {
    const mb = about[size];
    if (typeof mb === 'number') values[size] = Math.round(mb);
  }
  if ('signal' in about) values.how = about.signal ?? t('overview.event.code', { code: about.code });
  // Who asked is told with an address, and why a deploy was given up with what a process printed.
  const address = /^the operator's pages, (.+)$/.exec(String(about.via))?.[1];
  if (address !== undefined) values.via = t('overview.event.pages', { address });
  if (veiled && 'via' in about) values.via = t('overview.event.somebody');
  if (veiled && 'reason' in about && name !== 'worker.replaced') values.reason = '…';
  if (name === 'worker.replaced') values.why = t(`overview.event.why.${about.reason}`);
  return t(key, values);
}
