import type { Span } from '@opentelemetry/api';
import { toError } from '../support/to-error';

/** W3C Trace Context: the span that has caused something, as headers and jobs carry it. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

export type SpanAttributes = Readonly<Record<string, string | number | undefined>>;
export type SpanDescription = readonly [name: string, attributes: SpanAttributes];

/** Begins spans. `OpenTelemetry` sets it; without that nothing is traced, and none of its packages is loaded. */
export interface Tracer {
  /** Begins the span of a request, in the trace that its headers name. */
  serve(name: string, describe: () => SpanAttributes, headers: object): Span;
  /**
   * Begins the trace of a job's run, linked to the span that has enqueued it. It is sampled if that was.
   * @param cause undefined: nobody knows, and the sampler decides.
   */
  consume(name: string, describe: () => SpanAttributes, cause: TraceContext | undefined): Span;
  /** Begins a part of the active span. */
  begin(kind: 'client' | 'producer', name: string, attributes: SpanAttributes): Span;
  /** Runs `work` while this span is the active one. */
  within<T>(span: Span, work: () => T): T;
  /** The span that the current code is a part of, sampled or not. */
  readonly active: Span | undefined;
  /** It, for what another process does; undefined: nothing is traced here. */
  readonly carried: TraceContext | undefined;
}

/** The status of a span that has failed. */
export const ERROR = 2;

let current: Tracer | undefined;

/** The role calls it at boot and stop. */
export function connectTracer(tracer: Tracer | undefined): void {
  current = tracer;
}

/** @returns undefined while nothing is traced in this process. */
export function tracing(): Tracer | undefined {
  return current;
}

/** Runs `work` in a span of its own, if the code around it has one that is recorded. */
export async function traced<T>(
  kind: 'client' | 'producer',
  describe: () => SpanDescription,
  work: () => Promise<T>,
): Promise<T> {
  if (!current?.active?.isRecording()) return work();
  const span = current.begin(kind, ...describe());
  try {
    return await current.within(span, work);
  } catch (thrown) {
    failSpan(toError(thrown), span);
    throw thrown;
  } finally {
    span.end();
  }
}

/** Maximum length of an error's message, which may hold a whole statement. */
const MAX_MESSAGE = 2000;
/** A word with an @, such as the address of a mail that its server has refused. */
const ADDRESS = /[^\s<>()"'`,;:]+@[^\s<>()"'`,;:]+/g;

/** Records what a span has failed with, without addresses of mails. Default: the active span. */
export function failSpan({ name, message: given, stack = '' }: Error, span = current?.active): void {
  if (!span?.isRecording()) return;
  const message = given.slice(0, MAX_MESSAGE).replace(ADDRESS, '…@…');
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  span.recordException({ name, message, stack: [`${name}: ${message}`, ...frames].join('\n') });
  span.setAttribute('error.type', name).setStatus({ code: ERROR, message });
}
