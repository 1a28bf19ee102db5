import type { EventMap, EventName } from './event-map';
import type { Events } from './events';

/** The process that tells of an event for operators; the primary keeps it. `tree`: the primary or the processor. `web`: a worker, of what is done on its pages. */
type Keeper = 'primary' | 'processor' | 'tree' | 'web';

/** The events that the pages list. */
const NOTABLE = {
  'primary.listening': 'primary',
  'worker.ready': 'primary',
  'worker.exited': 'primary',
  'worker.replaced': 'primary',
  'worker.unresponsive': 'primary',
  'processor.ready': 'primary',
  'processor.exited': 'primary',
  'processor.unresponsive': 'primary',
  'processor.stalled': 'tree',
  'processor.recovered': 'tree',
  'processor.kept': 'primary',
  'processor.crash-loop': 'primary',
  'phase.started': 'primary',
  'phase.completed': 'primary',
  'phase.aborted': 'primary',
  'memory.high': 'primary',
  'embedded.exited': 'primary',
  'operator.command': 'primary',
  'operator.rejected': 'primary',
  'dead.dropped': 'processor',
  'database.copied': 'processor',
  'operator.jobs': 'web',
  'operator.queue': 'web',
  'operator.cron': 'web',
  'operator.mails': 'web',
  'operator.adopted': 'web',
} as const satisfies { readonly [E in EventName]?: Keeper };

export type NotableEvent = keyof typeof NOTABLE;

export function isNotable(name: string): name is NotableEvent {
  return Object.hasOwn(NOTABLE, name);
}

/** @returns undefined for an event that is not kept. */
export function findKeeper(name: EventName): Keeper | undefined {
  return isNotable(name) ? NOTABLE[name] : undefined;
}

export const NOTABLE_EVENTS = Object.keys(NOTABLE) as NotableEvent[];

/** A notable event of the tree, as it is kept. */
export interface RecentEvent {
  /** Time of the event, ISO 8601. */
  readonly at: string;
  readonly name: EventName;
  /** The plain values of its payload. */
  readonly about: Readonly<Record<string, string | number | boolean | null>>;
}

const MAX_KEPT = 30;
/** Maximum length of a text, characters; longer ones are cut. */
const MAX_TEXT_LENGTH = 300;

/** The latest notable events that the primary keeps, its own and those it is given, newest first. */
export class EventBuffer {
  private readonly kept: RecentEvent[] = [];

  constructor(events: Events) {
    events.onAny((name, payload) => {
      const keeper = findKeeper(name);
      if (keeper !== 'primary' && keeper !== 'tree') return;
      // Expected exits are left out, since the command that caused them is an event itself.
      if (!('expected' in payload && payload.expected)) this.add(recentEvent(name, payload));
    });
  }

  list(): readonly RecentEvent[] {
    return [...this.kept];
  }

  add(event: RecentEvent): void {
    const [last] = this.kept;
    const [count, before] = [event.about.count, last?.about.count];
    if (last && typeof count === 'number' && typeof before === 'number' && isSameAction(event, last))
      this.kept[0] = { ...event, about: { ...event.about, count: before + count } };
    else this.kept.unshift(event);
    this.kept.length = Math.min(this.kept.length, MAX_KEPT);
  }
}

/** The same action of an operator within this time, ms, is added to the last one: a selection of jobs is moved one by one. */
const SAME_MS = 10_000;

function isSameAction(a: RecentEvent, b: RecentEvent): boolean {
  const what = ({ name, about }: RecentEvent) => JSON.stringify([name, { ...about, count: 0 }]);
  return what(a) === what(b) && Math.abs(Date.parse(a.at) - Date.parse(b.at)) < SAME_MS;
}

/** Calls `tell` with the notable events of the job processor's own process. */
export function onJobEvents(events: Events, tell: (event: RecentEvent) => void): void {
  events.onAny((name, payload) => {
    const keeper = findKeeper(name);
    if (keeper === 'processor' || keeper === 'tree') tell(recentEvent(name, payload));
  });
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
