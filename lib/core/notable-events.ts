import type { EventMap, EventName } from './event-map';
import type { Events } from './events';

/**
 * Which process reports it to the primary, which keeps the latest. `tree`: whichever of primary and processor it happens in.
 * `reporter`: the tree's reporter, by itself.
 */
type Teller = 'primary' | 'processor' | 'tree' | 'web' | 'reporter';

/** What kind of line it is on the pages: `dead` for the end of a process, `action` for what an operator did. */
export type Look = 'calm' | 'renewal' | 'deploy' | 'bad' | 'dead' | 'warn' | 'action';

/** The events that the pages list. */
const NOTABLE = {
  'primary.listening': ['primary', 'calm'],
  'worker.ready': ['primary', 'calm'],
  'worker.exited': ['primary', 'dead'],
  'worker.replaced': ['primary', 'renewal'],
  'worker.unresponsive': ['primary', 'bad'],
  'processor.ready': ['primary', 'calm'],
  'processor.exited': ['primary', 'dead'],
  'processor.unresponsive': ['primary', 'bad'],
  'processor.stalled': ['tree', 'bad'],
  'processor.recovered': ['tree', 'calm'],
  'processor.kept': ['primary', 'bad'],
  'processor.crash-loop': ['primary', 'bad'],
  'primary.restarted': ['primary', 'deploy'],
  'primary.kept': ['primary', 'bad'],
  'tls.kept': ['primary', 'bad'],
  'phase.started': ['primary', 'deploy'],
  'phase.completed': ['primary', 'deploy'],
  'phase.aborted': ['primary', 'warn'],
  'memory.high': ['primary', 'warn'],
  'profile.taken': ['primary', 'calm'],
  'embedded.exited': ['primary', 'warn'],
  'operator.command': ['primary', 'action'],
  'operator.rejected': ['primary', 'warn'],
  'dead.dropped': ['processor', 'warn'],
  'clock.set': ['processor', 'warn'],
  'redis.emptied': ['reporter', 'warn'],
  'redis.ready': ['reporter', 'calm'],
  'database.copied': ['processor', 'bad'],
  'operator.jobs': ['web', 'action'],
  'operator.queue': ['web', 'action'],
  'operator.cron': ['web', 'action'],
  'operator.mails': ['web', 'action'],
  'operator.adopted': ['web', 'action'],
} as const satisfies { readonly [E in EventName]?: readonly [Teller, Look] };

export type NotableEvent = keyof typeof NOTABLE;

export const NOTABLE_EVENTS = Object.keys(NOTABLE) as NotableEvent[];

export function isNotable(name: string): name is NotableEvent {
  return Object.hasOwn(NOTABLE, name);
}

/** @param name may be of a tree of another version. */
export function lookOf(name: string): Look {
  return isNotable(name) ? NOTABLE[name][1] : 'calm';
}

export interface RecentEvent {
  /** Time of the event, ISO 8601. */
  readonly at: string;
  readonly name: EventName;
  /** The plain values of its payload. */
  readonly about: Readonly<Record<string, string | number | boolean | null>>;
}

/** Maximum length of a text, characters; longer ones are cut. */
const MAX_TEXT_LENGTH = 300;

/** Calls `tell` with the notable events of these tellers, as they happen in this process. */
export function onNotable(events: Events, tellers: readonly Teller[], tell: (event: RecentEvent) => void): void {
  const names = NOTABLE_EVENTS.filter((name) => tellers.includes(NOTABLE[name][0]));
  events.onAny((name, payload) => tell(recentEvent(name, payload)), names);
}

export function recentEvent(name: EventName, payload: EventMap[EventName]): RecentEvent {
  const about = Object.fromEntries(Object.entries(payload).flatMap(([key, value]) => plain(key, value)));
  return { at: new Date().toISOString(), name, about };
}

type Plain = string | number | boolean | null;

function plain(key: string, value: unknown): [string, Plain][] {
  if (typeof value === 'string') return [[key, value.slice(0, MAX_TEXT_LENGTH)]];
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return [[key, value]];
  return [];
}
