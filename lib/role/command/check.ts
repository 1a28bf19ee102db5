import path from 'node:path';
import { readArguments } from '../../core/command-line';
import { asSentence, noteFinding } from '../../core/finding';
import { pluralize } from '../../support/counted';
import { toError } from '../../support/to-error';
import type { AppCommand } from '../app/app-command';
import { findMigrations } from '../app/app-definition';
import { type FindingWithId, findings, thrownFinding } from '../checks/all-checks';
import { AppParts } from '../checks/app-parts';
import { withDatabase } from '../connect/server-connections';
import { report } from './report';

/** `catamount check`: prints every mistake in the app, its settings and its database, and exits with 1 if there is one. */
export const runCheckCommand: AppCommand = async (app, args, readConfig) => {
  const startedAt = performance.now();
  const { json } = readArguments('check', { args, options: { json: { type: 'boolean' } } }).values;
  const found: FindingWithId[] = [];
  const config = await readConfig().catch((thrown) => void found.push(thrownFinding('wrong_settings', thrown)));
  const parts = new AppParts(app, config);
  found.push(...(await findings('app', 'check', parts)));
  if (config) {
    const migrations = findMigrations(app);
    const ofDatabase = withDatabase(config, 'they need Postgres', (database) =>
      findings('postgres', 'check', { config, migrations, database }),
    ).catch((thrown) => [
      { ...noteFinding('Migrations are not checked', toError(thrown).message), id: 'unchecked_migrations' },
    ]);
    found.push(...(await findings('settings', 'check', { config })), ...(await ofDatabase));
  }
  const [jobs, mailers] = [[...(await parts.jobs()).value].length, (await parts.mailers()).value.size];
  const relative = (text: string) => text.replaceAll(`${app.root}${path.sep}`, '');
  const told = found.map((each) => ({ ...each, text: relative(each.text), remedy: relative(each.remedy) }));
  await report(told, json, (wrong, notes) => {
    const end = wrong.length === 0 ? 'Nothing is wrong' : pluralize(wrong.length, 'mistake');
    const ms = Math.round(performance.now() - startedAt);
    const lookedAt = `${pluralize(jobs, 'job')} and ${pluralize(mailers, 'mailer')} in ${ms} ms`;
    return [...wrong.map(asSentence), ...notes, `${end}: ${lookedAt}`];
  });
};
