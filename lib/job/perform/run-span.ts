import { type SpanAttributes, tracing } from '../../core/tracing';
import { describeJobs } from '../definition/job-span';
import type { ExecutionResult } from '../fetch/fetcher';
import type { JobExecution } from './job-execution';

/** Traces a run, whose failures `Outcomes` records in the span. */
export type TraceRun = (job: JobExecution, run: () => Promise<ExecutionResult>) => Promise<ExecutionResult>;

export const traceRun: TraceRun = async (job, run) => {
  const tracer = tracing();
  if (!tracer) return run();
  const span = tracer.consume(`perform ${job.queue}`, () => describeRun(job), job.payload.trace);
  try {
    const result = await tracer.within(span, run);
    span.setAttribute('catamount.job.outcome', OUTCOMES[result.outcome.op]);
    return result;
  } finally {
    span.end();
  }
};

function describeRun(job: JobExecution): SpanAttributes {
  const { id, queue, class: name, attempt } = job;
  const attributes = describeJobs({ operation: 'perform', queue, class: name, id });
  const more = { 'catamount.job.attempt': attempt, 'catamount.request.id': job.payload.attrs.requestId };
  return { ...attributes, ...more, 'catamount.job.waited_ms': job.waitedMs() };
}

/** The words of the events. */
const OUTCOMES = {
  delete: 'succeeded',
  discard: 'discarded',
  cancel: 'cancelled',
  retry: 'retrying',
  dead: 'dead',
  snooze: 'snoozed',
  leave: 'left',
  wait: 'rate-limited',
  return: 'released',
  'return-counted': 'released',
} as const satisfies Readonly<Record<ExecutionResult['outcome']['op'], string>>;
