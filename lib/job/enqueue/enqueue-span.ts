import type { SpanAttributes } from '../../core/tracing';
import type { EnqueueRequest } from '../definition/job-class';
import { describeJobs } from '../definition/job-span';

/** One span for jobs that are enqueued at once, however many. */
export function describeEnqueue(requests: readonly EnqueueRequest[]): readonly [string, SpanAttributes] {
  const common = (values: readonly string[]) => (new Set(values).size === 1 ? values[0] : undefined);
  const [name, attributes] = describeJobs({
    operation: 'enqueue',
    queue: common(requests.map(({ queue }) => queue)),
    class: common(requests.map((request) => request.name)),
    id: common(requests.map(({ id }) => id)),
  });
  const count = requests.length > 1 ? requests.length : undefined;
  return [name, { ...attributes, 'messaging.batch.message_count': count }];
}
