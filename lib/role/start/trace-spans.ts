import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { OpenTelemetry } from '../../core/opentelemetry';
import type { Service } from '../../support/service';
import { toError } from '../../support/to-error';
import type { AppDefinition } from '../app/app-definition';

/** What an app installs beside Catamount, in the versions that run on each Node of ours. */
const PACKAGES =
  '@opentelemetry/api@1.9 @opentelemetry/sdk-trace-node@2 @opentelemetry/resources@2 @opentelemetry/exporter-trace-otlp-proto@0.223';

function explain(error: Error): string {
  if (!('code' in error) || error.code !== 'MODULE_NOT_FOUND') return error.message;
  return `OTEL_EXPORTER_OTLP_ENDPOINT is set, but a package is missing: npm install ${PACKAGES}`;
}

/** Traces this process, if the settings ask for it. Nothing of it is loaded otherwise. Start it before what it traces. */
export function traceSpans(app: AppDefinition, { tracing, release }: Config, events: Events): Service[] {
  if (!tracing) return [];
  let telemetry: OpenTelemetry | undefined;
  return [
    {
      name: 'OpenTelemetry',
      async start() {
        const { OpenTelemetry } = await import('../../core/opentelemetry');
        const started = new OpenTelemetry({ service: app.name, release, events });
        try {
          await started.start();
          telemetry = started;
        } catch (thrown) {
          events.emit('process.warning', { message: `nothing is traced: ${explain(toError(thrown))}` });
        }
      },
      stop: async (deadline) => telemetry?.stop(deadline),
    },
  ];
}
