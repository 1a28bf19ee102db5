import type { EventMap, EventName, Events } from '../core/events';

/** What is worth telling an operator who looks later. */
const TOLD: readonly EventName[] = [
  'primary.listening',
  'worker.ready',
  'worker.exited',
  'worker.replaced',
  'worker.silent',
  'processor.ready',
  'processor.exited',
  'processor.silent',
  'processor.kept',
  'processor.circuit',
  'processor.stopped',
  'phase.started',
  'phase.completed',
  'phase.abandoned',
  'memory.high',
  'embedded.lost',
  'operator.command',
  'operator.refused',
];
/** The same of what the job processor tells the primary of. */
const TOLD_OF_JOBS: readonly EventName[] = ['dead.dropped', 'queue.restored', 'redis.emptied', 'installation.foreign'];
const KEPT = 30;
/** Longer texts are cut. */
const LONGEST = 300;

/** Something that has happened in the tree. */
export interface RecentEvent {
  /** ISO 8601. */
  readonly at: string;
  readonly name: EventName;
  /** The plain values of its payload. */
  readonly about: Readonly<Record<string, string | number | boolean | null>>;
}

/** The last things that have happened in this process, newest first. */
export class RecentEvents {
  private readonly kept: RecentEvent[] = [];

  constructor(events: Events) {
    events.onAny((name, payload) => {
      if (!TOLD.includes(name)) return;
      // A worker that leaves when asked is told of by whoever asked.
      if (!('expected' in payload && payload.expected)) this.add(recentEvent(name, payload));
    });
  }

  list(): readonly RecentEvent[] {
    return [...this.kept];
  }

  add(event: RecentEvent): void {
    this.kept.unshift(event);
    this.kept.length = Math.min(this.kept.length, KEPT);
  }
}

/** Has `tell` hear of what has happened in the job processor's own process. */
export function onJobEvents(events: Events, tell: (event: RecentEvent) => void): void {
  events.onAny((name, payload) => {
    if (TOLD_OF_JOBS.includes(name)) tell(recentEvent(name, payload));
  });
}

export function recentEvent(name: EventName, payload: EventMap[EventName]): RecentEvent {
  const about = Object.fromEntries(Object.entries(payload).flatMap(([key, value]) => plain(key, value)));
  return { at: new Date().toISOString(), name, about };
}

type Plain = string | number | boolean | null;

function plain(key: string, value: unknown): [string, Plain][] {
  if (typeof value === 'string') return [[key, value.slice(0, LONGEST)]];
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return [[key, value]];
  return [];
}
