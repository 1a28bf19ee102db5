import type { Context, Span, SpanOptions, Tracer as SpanSource } from '@opentelemetry/api';
import type { SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { Deadline } from '../support/deadline';
import { OutageNotices } from '../support/outage-notices';
import type { Service } from '../support/service';
import type { Events } from './events';
import { currentContext } from './execution-context';
import { STOP_PHASES } from './shutdown';
import { connectTracer, failSpan, type SpanAttributes, type TraceContext, type Tracer } from './tracing';

type Api = typeof import('@opentelemetry/api');

export interface OpenTelemetryOptions {
  /** Names the app, unless OTEL_SERVICE_NAME does. */
  readonly service: string;
  readonly release: string | null;
  readonly events: Events;
}

/**
 * Exports spans by the official packages, which read the OTEL_ variables. An SDK that the app has started itself gets them
 * instead.
 */
export class OpenTelemetry implements Service {
  readonly name = 'OpenTelemetry';
  private batch: SpanProcessor | undefined;

  constructor(private readonly options: OpenTelemetryOptions) {}

  async start(): Promise<void> {
    const [api, sdk, { detectResources, envDetector, resourceFromAttributes }, { OTLPTraceExporter }] =
      await Promise.all([
        import('@opentelemetry/api'),
        import('@opentelemetry/sdk-trace-node'),
        import('@opentelemetry/resources'),
        import('@opentelemetry/exporter-trace-otlp-proto'),
      ]);
    const { service, release, events } = this.options;
    const own = { 'service.name': service, ...(release !== null && { 'service.version': release }) };
    const resource = resourceFromAttributes({
      ...own,
      'process.pid': process.pid,
      'process.title': process.title,
    }).merge(detectResources({ detectors: [envDetector] }));
    events.on('request.error', ({ error }) => failSpan(error));
    const batch = new sdk.BatchSpanProcessor(reporting(new OTLPTraceExporter(), events));
    const settings = { resource, spanProcessors: [ofContext, batch] };
    const provider = new sdk.NodeTracerProvider(settings);
    if (api.trace.setGlobalTracerProvider(provider)) {
      provider.register();
      this.batch = batch;
      const sampled = new sdk.NodeTracerProvider({ ...settings, sampler: new sdk.AlwaysOnSampler() });
      connectTracer(new SpanTracer(api, provider.getTracer('catamount'), sampled.getTracer('catamount')));
    } else {
      await provider.shutdown();
      const theirs = api.trace.getTracer('catamount');
      connectTracer(new SpanTracer(api, theirs));
    }
  }

  /** Sends what is left. A collector that does not answer delays the stop a moment only. */
  async stop(deadline: Deadline): Promise<void> {
    // The exporter has told why it failed.
    const flushed = this.batch?.shutdown().catch(() => undefined);
    await deadline.part(STOP_PHASES.spans).wait(Promise.resolve(flushed));
  }
}

class SpanTracer implements Tracer {
  /**
   * @param roots its sampler decides.
   * @param own records every span: that of which it is a part, or to which it is linked, is sampled. Default: the SDK is the app's.
   */
  constructor(
    private readonly api: Api,
    private readonly roots: SpanSource,
    private readonly own?: SpanSource,
  ) {}

  serve(name: string, describe: () => SpanAttributes, headers: object): Span {
    const { context, propagation, ROOT_CONTEXT, SpanKind } = this.api;
    // An SDK of the app may have begun a span of its own, in which ours belongs.
    const parent = this.active ? context.active() : propagation.extract(ROOT_CONTEXT, headers);
    return this.start(this.roots, name, describe, { kind: SpanKind.SERVER }, parent);
  }

  consume(name: string, describe: () => SpanAttributes, cause: TraceContext | undefined): Span {
    const { propagation, trace, ROOT_CONTEXT, SpanKind, TraceFlags } = this.api;
    const context = cause && trace.getSpanContext(propagation.extract(ROOT_CONTEXT, cause));
    // Jobs that this one enqueues are not sampled, either.
    if (context && (context.traceFlags & TraceFlags.SAMPLED) === 0) return trace.wrapSpanContext(context);
    const options = { kind: SpanKind.CONSUMER, ...(context && { links: [{ context }] }) };
    const source = context && this.own ? this.own : this.roots;
    return this.start(source, name, describe, options, ROOT_CONTEXT);
  }

  begin(kind: 'client' | 'producer', name: string, attributes: SpanAttributes): Span {
    const { context, SpanKind } = this.api;
    const options = { kind: kind === 'client' ? SpanKind.CLIENT : SpanKind.PRODUCER };
    return this.start(this.own ?? this.roots, name, () => attributes, options, context.active());
  }

  /** The samplers of the variables look at no attributes, so those of spans that are not recorded are not read. */
  private start(
    source: SpanSource,
    name: string,
    describe: () => SpanAttributes,
    options: SpanOptions,
    parent: Context,
  ): Span {
    if (!this.own) return source.startSpan(name, { ...options, attributes: describe() }, parent);
    const span = source.startSpan(name, options, parent);
    return span.isRecording() ? span.setAttributes(describe()) : span;
  }

  within<T>(span: Span, work: () => T): T {
    const { context, trace } = this.api;
    return context.with(trace.setSpan(context.active(), span), work);
  }

  get active(): Span | undefined {
    return this.api.trace.getActiveSpan();
  }

  get carried(): TraceContext | undefined {
    const { traceparent, tracestate }: Partial<TraceContext> = this.inject();
    return traceparent === undefined ? undefined : { traceparent, ...(tracestate !== undefined && { tracestate }) };
  }

  private inject(): Partial<TraceContext> {
    const carrier = {};
    this.api.propagation.inject(this.api.context.active(), carrier);
    return carrier;
  }
}

/** Adds the ids of the request and the job to every span, also to those of the app. */
const ofContext: SpanProcessor = {
  onStart(span) {
    const { requestId, jobId } = currentContext();
    if (requestId !== undefined) span.setAttribute('catamount.request.id', requestId);
    if (jobId !== undefined) span.setAttribute('catamount.job.id', jobId);
  },
  onEnd: () => undefined,
  forceFlush: async () => undefined,
  shutdown: async () => undefined,
};

/** Tells of an outage of the collector, which the SDK does not. */
function reporting(exporter: SpanExporter, events: Events): SpanExporter {
  const outage = new OutageNotices();
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (!result.error && result.code === 0) outage.over();
        else {
          const lasting = outage.failed();
          const why = result.error?.message || 'it gives no reason';
          if (lasting !== undefined)
            events.emit('process.warning', { message: `the OTLP collector takes no spans${lasting}: ${why}` });
        }
        done(result);
      });
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}
