import { Model } from 'objection';
import { ignoreOperatorSignals } from '../../cluster/operator-signals';
import { inheritedConfig, serverUrls } from '../../core/config';
import { Events } from '../../core/events';
import { loadPreviews, type PreviewRequest, type Previews } from '../../mailer/preview/preview-registry';
import { PreviewRenderer } from '../../mailer/preview/preview-renderer';
import type { Database } from '../../model/database';
import { connectTransactions } from '../../model/transaction';
import type { AppDefinition } from '../app/app-definition';
import { loadMailSetup } from '../app/load-parts';
import { openDatabase } from '../app/open-database';

/** Idle time after which the process exits, ms. */
const IDLE_MS = 30_000;

/**
 * Runs the process that renders previews. A web worker forks it for its first preview, so that no worker carries the
 * memory that rendering takes (email-templates: 40 MiB). It exits when idle, and with its worker.
 */
export function runPreviews(app: AppDefinition): void {
  const config = inheritedConfig();
  ignoreOperatorSignals();
  process.title = 'catamount: previews';
  const events = new Events();
  const database = openDatabase(config, serverUrls(config).database, events, 1);
  let previews: Promise<Previews> | undefined;
  const renderer = new PreviewRenderer({
    config,
    root: app.root,
    templatesDir: app.templatesDirs,
    localesDir: app.localesDir,
    setup: () => loadMailSetup(app),
    previews: () => {
      previews ??= loadPreviews(app.previewsDir, app);
      return previews;
    },
    inRolledBackTransaction: (work) => inRolledBackTransaction(database, work),
  });
  const leave = () => process.exit(0);
  let idle = setTimeout(leave, IDLE_MS);
  let last: Promise<unknown> = Promise.resolve();
  // Sequential, because previews share one connection and the models' binding to it.
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

/** Runs in a transaction that is rolled back, or without one if Postgres does not answer: most mails need no data. */
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
