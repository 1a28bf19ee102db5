import type { Channel } from 'node:diagnostics_channel';
import type { EventMap, EventName } from './event-map';

export type * from './event-map';

type Listener<E extends EventName> = (payload: EventMap[E]) => void;
type EveryListener = (name: EventName, payload: EventMap[EventName]) => void;

interface Registered {
  /** undefined: every event. */
  readonly names: readonly EventName[] | undefined;
  readonly listener: EveryListener;
}

/** A typed emitter. An error in a listener is emitted as `process.error`; the other listeners are still called. */
export class Events {
  private readonly registered = new Set<Registered>();
  /** Cache of the listeners by event, cleared by each change, since some events come thousands of times a second. */
  private readonly hearing = new Map<EventName, readonly EveryListener[]>();

  emit<E extends EventName>(name: E, payload: EventMap[E]): void {
    for (const listener of this.hearing.get(name) ?? this.listenersOf(name)) {
      try {
        listener(name, payload);
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        if (name !== 'process.error') this.emit('process.error', { error, during: `a listener of ${name}` });
      }
    }
  }

  /** Listens to all events, or to these. @returns a function that removes the listener. */
  onAny(listener: EveryListener, names?: readonly EventName[]): () => void {
    return this.register({ names, listener });
  }

  /** Listens to one event. @returns a function that removes the listener. */
  on<E extends EventName>(name: E, listener: Listener<E>): () => void {
    return this.register({ names: [name], listener: (_name, payload) => listener(payload as EventMap[E]) });
  }

  /** Publishes one event on a diagnostics channel. Its message is made only while somebody subscribes to the channel. */
  publish<E extends EventName>(name: E, channel: Channel, messageOf: (payload: EventMap[E]) => object): void {
    this.on(name, (payload) => {
      if (channel.hasSubscribers) channel.publish(messageOf(payload));
    });
  }

  next<E extends EventName>(name: E): Promise<EventMap[E]> {
    return new Promise((resolve) => {
      const off = this.on(name, (payload) => {
        off();
        resolve(payload);
      });
    });
  }

  private register(entry: Registered): () => void {
    this.registered.add(entry);
    this.hearing.clear();
    return () => {
      this.registered.delete(entry);
      this.hearing.clear();
    };
  }

  private listenersOf(name: EventName): readonly EveryListener[] {
    const concerned = [...this.registered].filter(({ names }) => names?.includes(name) ?? true);
    const listeners = concerned.map(({ listener }) => listener);
    this.hearing.set(name, listeners);
    return listeners;
  }
}
