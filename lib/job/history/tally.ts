import type { EventMap, EventName, Events } from '../../core/events';
import { ClassTally } from './class-tally';
import { MINUTE_MS, OTHER_CLASSES } from './history-keys';

/** Classes counted by name in one minute. */
const MOST_CLASSES = 200;
/** Minutes kept while Redis is away; those before them are counted with the oldest. */
const MOST_MINUTES = 60;

/** By the beginning of the minute, ms since 1970, then by class. */
export type Minutes = Map<number, Map<string, ClassTally>>;

/** Counts what becomes of jobs in this process until it is handed over. Costs a job a few increments. */
export class Tally {
  private minutes: Minutes = new Map();
  private minute = -1;
  private minuteEnds = -1;
  private current = new Map<string, ClassTally>();

  /** @param isKnown other classes are counted together: whoever can write into a queue can make names up. Default: all. */
  constructor(
    private readonly now: () => number = Date.now,
    private readonly isKnown: (className: string) => boolean = () => true,
  ) {}

  /** @returns a function that ends it. */
  listen(events: Events): () => void {
    return events.onAny((name, payload) => this.hear(name, payload));
  }

  /** What was counted since the last time. */
  take(): Minutes {
    const { minutes } = this;
    this.minutes = new Map();
    this.minute = this.minuteEnds = -1;
    return minutes;
  }

  private hear(name: EventName, payload: EventMap[EventName]): void {
    switch (name) {
      case 'job.started': {
        const { class: className, waitedMs } = payload as EventMap['job.started'];
        this.of(className).latency.add(waitedMs);
        break;
      }
      case 'job.succeeded': {
        const { class: className, durationMs } = payload as EventMap['job.succeeded'];
        const tally = this.of(className);
        tally.processed++;
        tally.duration.add(durationMs);
        break;
      }
      case 'job.retrying': {
        const tally = this.of((payload as EventMap['job.retrying']).class);
        tally.failed++;
        tally.retried++;
        break;
      }
      case 'job.dead': {
        const tally = this.of((payload as EventMap['job.dead']).class);
        tally.failed++;
        tally.dead++;
        break;
      }
      case 'job.discarded':
        this.of((payload as EventMap['job.discarded']).class).discarded++;
        break;
    }
  }

  private of(className: string): ClassTally {
    const now = this.now();
    if (now >= this.minuteEnds || now < this.minute) this.begin(Math.floor(now / MINUTE_MS) * MINUTE_MS);
    return this.current.get(className) ?? tallyIn(this.current, this.isKnown(className) ? className : OTHER_CLASSES);
  }

  private begin(minute: number): void {
    this.minute = minute;
    this.minuteEnds = minute + MINUTE_MS;
    this.current = this.minutes.get(minute) ?? new Map();
    this.minutes.set(minute, this.current);
    if (this.minutes.size > MOST_MINUTES) this.foldOldest();
  }

  private foldOldest(): void {
    const [first, second] = this.minutes;
    if (!first || !second) return;
    this.minutes.delete(first[0]);
    for (const [className, tally] of first[1]) tallyIn(second[1], className).merge(tally);
  }
}

function tallyIn(classes: Map<string, ClassTally>, className: string): ClassTally {
  const name = classes.has(className) || classes.size < MOST_CLASSES ? className : OTHER_CLASSES;
  const tally = classes.get(name) ?? new ClassTally();
  classes.set(name, tally);
  return tally;
}
