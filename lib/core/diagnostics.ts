import diagnosticsChannel from 'node:diagnostics_channel';
import type { EventMap, EventName } from './event-map';
import type { Events } from './events';

const JOB = ['id', 'class', 'queue'] as const;
const RUN = [...JOB, 'attempt', 'requestId'] as const;
const MAIL = ['mailer', 'action'] as const;

/** The events that are published, each with the fields of its messages. Arguments of jobs are not among them. */
const PUBLISHED = {
  'request.started': ['method', 'path', 'requestId'],
  'request.finished': [
    'method',
    'path',
    'status',
    'durationMs',
    'queuedMs',
    'sqlMs',
    'sqlCount',
    'shedReason',
    'internal',
    'requestId',
  ],
  'request.error': ['method', 'path', 'requestId', 'error'],
  'job.enqueued': JOB,
  'job.started': [...RUN, 'waitedMs'],
  'job.succeeded': [...JOB, 'requestId', 'durationMs'],
  'job.retrying': [...RUN, 'waitMs', 'error'],
  'job.snoozed': [...RUN, 'waitMs'],
  'job.rate-limited': [...JOB, 'key', 'waitMs'],
  'job.discarded': [...RUN, 'error'],
  'job.expired': RUN,
  'job.cancelled': [...JOB, 'was', 'reason'],
  'job.dead': [...RUN, 'reason', 'error'],
  'job.released': JOB,
  'job.left': [...JOB, 'waitMs', 'error'],
  'job.fenced': JOB,
  'mail.processed': [...MAIL, 'durationMs'],
  'mail.sent': [...MAIL, 'to', 'via', 'messageId', 'durationMs'],
  'mail.skipped': [...MAIL, 'reason'],
  'mail.failed': [...MAIL, 'error'],
  'worker.forked': ['slot', 'pid', 'phase'],
  'worker.ready': ['slot', 'pid', 'durationMs'],
  'worker.exited': ['slot', 'pid', 'code', 'signal', 'expected'],
  'processor.forked': ['pid'],
  'processor.ready': ['pid', 'durationMs'],
  'processor.exited': ['pid', 'code', 'signal', 'expected'],
} as const satisfies { readonly [E in EventName]?: readonly (keyof EventMap[E])[] };

type PublishedEvent = keyof typeof PUBLISHED;

/** What every message on a diagnostics channel has. */
export interface DiagnosticMessage {
  /** The version of the messages: one more whenever a field goes, or means something else. */
  readonly version: 1;
}

/**
 * The messages on the channels of `node:diagnostics_channel`, by the name of the channel, such as `catamount.job.dead`.
 * Durations are in ms.
 */
export type DiagnosticMessages = {
  readonly [E in PublishedEvent as `catamount.${E}`]: DiagnosticMessage &
    Pick<EventMap[E], (typeof PUBLISHED)[E][number] & keyof EventMap[E]>;
};

/** Publishes the events of this process on its diagnostics channels. */
export function publishDiagnostics(events: Events): void {
  for (const [name, fields] of Object.entries(PUBLISHED) as [PublishedEvent, readonly string[]][]) {
    const channel = diagnosticsChannel.channel(`catamount.${name}`);
    events.publish(name, channel, (payload) => {
      const values = payload as unknown as Readonly<Record<string, unknown>>;
      return { version: 1, ...Object.fromEntries(fields.map((field) => [field, values[field]])) };
    });
  }
}
