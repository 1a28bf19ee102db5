import { parentPort, workerData } from 'node:worker_threads';
import { Model } from 'objection';
import { EXIT, UserError } from '../../core/errors';
import { Events } from '../../core/events';
import { currentContext } from '../../core/execution-context';
import { importExports } from '../../core/load-classes';
import { connectAdmin } from '../../job/admin/app-sources';
import { RowEnqueuer } from '../../job/enqueue/row-enqueuer';
import { Job } from '../../job/job';
import { loadJobs } from '../../job/job-registry';
import { serveRuns } from '../../job/perform/thread-runs';
import type { FromThread } from '../../job/perform/threads';
import { keyringOf } from '../../job/record/encryption';
import { loadModels } from '../../model/model-lookup';
import { connectTransactions } from '../../model/transaction';
import type { AppDefinition } from '../app/app-definition';
import { loadJobSetup } from '../app/load-parts';
import { openDatabase } from '../app/open-database';
import type { ThreadData } from './job-thread-source';

/** The entry of a thread that performs jobs. It loads the app as the job processor does, and has one connection to Postgres. */
async function main({ manifest, config, databaseUrl, identity }: ThreadData & { readonly identity: string }) {
  if (!parentPort) throw new Error('job-thread is the entry of a thread');
  const port = parentPort;
  if (config.environment !== 'production') process.setSourceMapsEnabled(true);
  const events = new Events();
  events.onAny((name, payload) => {
    const { attributes = {} } = currentContext();
    port.postMessage({ tells: 'event', name, payload: payload as never, attributes } satisfies FromThread);
  });
  const app = await loadManifest(manifest);
  const { knex } = openDatabase(config, databaseUrl, events, 1);
  const registry = await loadJobs(app.jobsDir, app);
  const setup = await loadJobSetup(app);
  const models = await loadModels(app.modelsDir, app);
  const keys = keyringOf(config.jobs.encryptionKeys);
  const served = config.jobs.queues.map(({ name }) => name);
  Model.knex(knex);
  connectTransactions(knex, (model) => events.emit('query.left-transaction', { model }));
  Job.connect(new RowEnqueuer(knex, undefined, events, served, config.jobs.logEnqueues), { setup, models, keys });
  connectAdmin({ events, queues: served });
  serveRuns({ port, registry, knex, identity, events, keys, codec: { serializers: setup.serializers, models } });
}

async function loadManifest(file: string): Promise<AppDefinition> {
  const exported = (await importExports(file)) as { readonly default?: Partial<AppDefinition> } | null;
  const app = exported?.default ?? (exported as Partial<AppDefinition> | null);
  if (typeof app?.jobsDir === 'string') return app as AppDefinition;
  throw new UserError(`${file}: a job with thread needs the manifest as the default export of this file`, EXIT.config);
}

void main(workerData as ThreadData & { readonly identity: string });
