import { Model } from 'objection';
import { ignoreOperatorSignals } from '../cluster/control/signals';
import { inheritedConfig, serverUrls } from '../core/config';
import { Events } from '../core/events';
import { loadPreviews, type PreviewRequest, type Previews } from '../mailer/preview/preview-registry';
import { PreviewRenderer } from '../mailer/preview/preview-renderer';
import { Transports } from '../mailer/transport/transports';
import { Database } from '../model/database';
import { connectTransactions } from '../model/transaction';
import type { AppDefinition } from './app-definition';
import { loadMailSetup } from './load-setup';

/** How long it waits for the next order, ms. */
const IDLE_MS = 30_000;

/**
 * The process that renders previews: started by a web worker when one is asked for, so that no worker holds what
 * rendering takes (email-templates: 40 MiB); it ends when nothing was asked for a while, and with its worker.
 */
export function runPreviews(app: AppDefinition): void {
  const config = inheritedConfig();
  ignoreOperatorSignals();
  process.title = 'catamount: previews';
  const events = new Events();
  const database = new Database(serverUrls(config).database, {
    production: config.environment === 'production',
    events,
    poolMax: 1,
  });
  let previews: Previews | undefined;
  const renderer = new PreviewRenderer({
    config,
    app: { root: app.root, code: [app.mailersDir, app.previewsDir, app.modelsDir] },
    templatesDir: app.templatesDir,
    localesDir: app.localesDir,
    setup: () => loadMailSetup(app),
    previews: () => {
      previews ??= loadPreviews(app.previewsDir);
      return previews;
    },
    transports: new Transports(config.mail, events),
    inRolledBackTransaction: (work) => inRolledBackTransaction(database, work),
  });
  const leave = () => process.exit(0);
  let idle = setTimeout(leave, IDLE_MS);
  let last: Promise<unknown> = Promise.resolve();
  // One after the other: they share a connection, and the models.
  process.on('message', (order: PreviewRequest) => {
    clearTimeout(idle);
    last = last.then(async () => {
      const reply = await renderer.answer(order);
      process.send?.({ id: order.id, reply });
      clearTimeout(idle);
      idle = setTimeout(leave, IDLE_MS);
    });
  });
  process.once('disconnect', leave);
}

/** In a transaction that is rolled back; without one where Postgres does not answer, for most mails need none. */
async function inRolledBackTransaction<T>(database: Database, work: () => Promise<T>): Promise<T> {
  const trx = await database.knex.transaction().catch(() => undefined);
  try {
    if (trx) Model.knex(trx);
    connectTransactions(trx);
    return await work();
  } finally {
    connectTransactions(undefined);
    await trx?.rollback().catch(() => undefined);
  }
}
