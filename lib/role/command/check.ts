import path from 'node:path';
import { readArguments } from '../../core/command-line';
import type { Config } from '../../core/config';
import { EXIT } from '../../core/errors';
import { goneMigrations } from '../../model/gone-migrations';
import { pendingMigrations } from '../../model/migrations';
import { toError } from '../../support/async';
import { pluralize } from '../../support/text';
import { type AppDefinition, migrationsOf } from '../app/app-definition';
import { loadRoutes } from '../app/load-setup';
import { WITHOUT_REDIS } from '../app/own-settings';
import { checkApp } from '../checks/check';
import { brokenMigrations } from '../checks/file-mistakes';
import type { Finding } from '../checks/findings';
import { withDatabase } from '../connect/server-connections';

/** `catamount check`: prints every mistake in the app, its settings and its database, and exits with 1 if there is one. */
export async function runCheckCommand(
  app: AppDefinition,
  args: readonly string[],
  readConfig: () => Promise<Config>,
): Promise<void> {
  const startedAt = performance.now();
  const { values } = readArguments('check', { args, options: { json: { type: 'boolean' } } });
  const findings: Finding[] = [];
  const tell = (thrown: unknown) => void findings.push({ message: toError(thrown).message, fatal: true });
  const config = await readConfig().catch((thrown: unknown) => void tell(thrown));
  const { findings: ofApp, jobs, mailers } = await checkApp(app, config);
  findings.push(...ofApp);
  if (typeof app.routes === 'function') await loadRoutes(app).catch(tell);
  for (const message of await brokenMigrations(app)) findings.push({ message, fatal: true });
  const notes: string[] = [];
  if (config?.redisOff) notes.push(`Redis is off: ${WITHOUT_REDIS}`);
  if (config) {
    const found = await migrationsIn(app, config).catch((thrown: unknown) => {
      notes.push(`Migrations are not checked: ${toError(thrown).message}`);
      return { pending: [], gone: [] };
    });
    for (const name of found.pending) {
      findings.push({ message: `The migration ${name} has not run: run catamount db migrate`, fatal: true });
    }
    for (const message of found.gone) findings.push({ message, fatal: false });
  }
  const messages = findings.map(({ message }) => message.replaceAll(`${app.root}${path.sep}`, ''));
  const ms = Math.round(performance.now() - startedAt);
  const lookedAt = `${pluralize(jobs, 'job')} and ${pluralize(mailers, 'mailer')} in ${ms} ms`;
  const summary = `${messages.length === 0 ? 'Nothing is wrong' : pluralize(messages.length, 'mistake')}: ${lookedAt}`;
  const text = values.json
    ? JSON.stringify({ findings: messages, notes }, null, 2)
    : [...messages, ...notes, summary].join('\n');
  await new Promise<void>((resolve) => process.stdout.write(`${text}\n`, () => resolve()));
  // Exits even if the app's own code has left a handle open.
  process.exit(messages.length === 0 ? EXIT.ok : EXIT.failed);
}

/** Names of the migrations that have not run, and sentences about applied ones whose files are missing. */
function migrationsIn(app: AppDefinition, config: Config): Promise<{ pending: string[]; gone: string[] }> {
  const migrations = migrationsOf(app);
  return withDatabase(config, 'they need Postgres', async ({ knex }) => ({
    pending: await pendingMigrations(knex, migrations),
    gone: await goneMigrations(knex, migrations),
  }));
}
