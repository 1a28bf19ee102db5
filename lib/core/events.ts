import type { EventMap, EventName } from './event-map';

export type { EventMap, EventName };

type Listener<E extends EventName> = (payload: EventMap[E]) => void;
type EveryListener = (name: EventName, payload: EventMap[EventName]) => void;

/** A typed emitter. A listener that throws is reported as `process.error` and disturbs nobody. */
export class Events {
  private readonly listeners = new Set<EveryListener>();

  emit<E extends EventName>(name: E, payload: EventMap[E]): void {
    for (const listener of [...this.listeners]) {
      try {
        listener(name, payload);
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        if (name !== 'process.error') this.emit('process.error', { error, during: `a listener of ${name}` });
      }
    }
  }

  /** Hears every event. @returns a function that removes the listener. */
  onAny(listener: EveryListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Hears one kind of event. @returns a function that removes the listener. */
  on<E extends EventName>(name: E, listener: Listener<E>): () => void {
    return this.onAny((heard, payload) => {
      if (heard === name) listener(payload as EventMap[E]);
    });
  }

  /** Resolves with the next such event. */
  next<E extends EventName>(name: E): Promise<EventMap[E]> {
    return new Promise((resolve) => {
      const off = this.on(name, (payload) => {
        off();
        resolve(payload);
      });
    });
  }
}
