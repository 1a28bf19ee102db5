import type { SpanAttributes } from '../../core/tracing';

/** What the spans of an enqueue and of a run have, by the conventions for messaging. undefined: it differs between the jobs. */
export interface TracedJobs {
  readonly operation: 'enqueue' | 'perform';
  readonly queue: string | undefined;
  readonly class: string | undefined;
  readonly id: string | undefined;
}

export function describeJobs({
  operation,
  queue,
  class: name,
  id,
}: TracedJobs): readonly [name: string, attributes: SpanAttributes] {
  return [
    queue === undefined ? operation : `${operation} ${queue}`,
    {
      'messaging.system': 'catamount',
      'messaging.operation.name': operation,
      'messaging.operation.type': operation === 'enqueue' ? 'send' : 'process',
      'messaging.destination.name': queue,
      'messaging.message.id': id,
      'catamount.job.id': id,
      'catamount.job.class': name,
    },
  ];
}
