import type { EventName } from './events';

/** The keeper of an event for operators: `primary` and `processor` keep it in memory, `redis` for all trees. */
type Keeper = 'primary' | 'processor' | 'redis' | 'whoever saw it';

/** The events that `catamount top` and the pages list. */
const NOTABLE = {
  'primary.listening': 'primary',
  'worker.ready': 'primary',
  'worker.exited': 'primary',
  'worker.replaced': 'primary',
  'worker.unresponsive': 'primary',
  'processor.ready': 'primary',
  'processor.exited': 'primary',
  'processor.unresponsive': 'primary',
  'processor.kept': 'primary',
  'processor.crash-loop': 'primary',
  'processor.stopped': 'primary',
  'phase.started': 'primary',
  'phase.completed': 'primary',
  'phase.aborted': 'primary',
  'memory.high': 'primary',
  'embedded.exited': 'primary',
  'operator.command': 'primary',
  'operator.rejected': 'primary',
  'dead.dropped': 'processor',
  'queue.restored': 'processor',
  'redis.emptied': 'processor',
  'installation.foreign': 'processor',
  'operator.jobs': 'redis',
  'operator.queue': 'redis',
  'operator.cron': 'redis',
  'operator.processor': 'redis',
  'operator.mails': 'redis',
  'operator.adopted': 'redis',
  'operator.failed': 'whoever saw it',
  'service.lost': 'whoever saw it',
  'service.restored': 'whoever saw it',
} as const satisfies { readonly [E in EventName]?: Keeper };

export type NotableEvent = keyof typeof NOTABLE;

export function isNotable(name: string): name is NotableEvent {
  return Object.hasOwn(NOTABLE, name);
}

/** @returns undefined for an event that is not kept. */
export function keeperOf(name: EventName): Keeper | undefined {
  return isNotable(name) ? NOTABLE[name] : undefined;
}

export const NOTABLE_EVENTS = Object.keys(NOTABLE) as NotableEvent[];
