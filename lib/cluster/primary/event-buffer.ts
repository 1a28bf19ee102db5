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
    this.kept.unshift(event);
    this.kept.length = Math.min(this.kept.length, MAX_KEPT);
  }
}
