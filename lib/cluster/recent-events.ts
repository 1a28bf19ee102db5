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
      if (TOLD.includes(name)) this.add(name, payload);
    });
  }

  list(): readonly RecentEvent[] {
    return [...this.kept];
  }

  private add(name: EventName, payload: EventMap[EventName]): void {
    // A worker that leaves when asked is told of by whoever asked.
    if ('expected' in payload && payload.expected) return;
    const about = Object.fromEntries(Object.entries(payload).flatMap(([key, value]) => plain(key, value)));
    this.kept.unshift({ at: new Date().toISOString(), name, about });
    this.kept.length = Math.min(this.kept.length, KEPT);
  }
}

type Plain = string | number | boolean | null;

function plain(key: string, value: unknown): [string, Plain][] {
  if (typeof value === 'string') return [[key, value.slice(0, LONGEST)]];
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return [[key, value]];
  return [];
}
