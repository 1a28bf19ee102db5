import type { Events } from '../../core/events';
import { onNotable, type RecentEvent } from '../../core/notable-events';

const MAX_KEPT = 30;

/** The latest notable events that the primary keeps, its own and those it is given, newest first. */
export class EventBuffer {
  private readonly kept: RecentEvent[] = [];

  constructor(events: Events) {
    // Expected exits are left out, since the command that caused them is an event itself.
    onNotable(events, ['primary', 'tree'], (event) => event.about.expected || this.add(event));
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
