import type { SpanAttributes, SpanDescription } from '../../core/tracing';
import type { EnqueueRequest } from './job-class';

/** What the spans of an enqueue and of a run have, by the conventions for messaging. undefined: it differs between the jobs. */
interface TracedJobs {
  readonly operation: 'enqueue' | 'perform';
  readonly queue: string | undefined;
  readonly class: string | undefined;
  readonly id: string | undefined;
}

export function describeJobs({ operation, queue, class: name, id }: TracedJobs): SpanAttributes {
  return {
    'messaging.system': 'catamount',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation === 'enqueue' ? 'send' : 'process',
    'messaging.destination.name': queue,
    'messaging.message.id': id,
    'catamount.job.id': id,
    'catamount.job.class': name,
  };
}

/** One span for jobs that are enqueued at once, however many. */
export function describeEnqueue(requests: readonly EnqueueRequest[]): SpanDescription {
  const common = (values: readonly string[]) => (new Set(values).size === 1 ? values[0] : undefined);
  const queue = common(requests.map((request) => request.queue));
  const attributes = describeJobs({
    operation: 'enqueue',
    queue,
    class: common(requests.map((request) => request.name)),
    id: common(requests.map(({ id }) => id)),
  });
  const count = requests.length > 1 ? requests.length : undefined;
  const name = queue === undefined ? 'enqueue' : `enqueue ${queue}`;
  return [name, { ...attributes, 'messaging.batch.message_count': count }];
}
