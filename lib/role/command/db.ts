import fs from 'node:fs';
import path from 'node:path';
import { readArguments, surplusWord } from '../../core/command-line';
import type { Config } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Database } from '../../model/database';
import { migrationStates } from '../../model/migrations';
import { migrateDown, migrateUp } from '../../model/migrator';
import { didYouMean } from '../../support/did-you-mean';
import type { AppCommand } from '../app/app-command';
import { type AppDefinition, findMigrations } from '../app/app-definition';
import { AppConnection } from '../connect/connection';
import { withDatabase } from '../connect/server-connections';
import { loadMain } from './run';
import { unbuiltSources } from './unbuilt';

/**
 * `catamount db …`: works on the database of the settings, or on the embedded one that runs in this folder.
 * @throws UserError for wrong usage, and when Postgres does not answer.
 */
export const runDbCommand: AppCommand = async (app, args, readConfig) => {
  const { command, force } = parsed(args);
  const config = await readConfig();
  if (command === 'reset' && config.environment === 'production' && !force) {
    throw new UserError('db reset deletes all data of a production database: say --force if you mean it.', EXIT.usage);
  }
  const seeds = path.join(app.root, 'seeds');
  if (command === 'seed' || command === 'reset') {
    const [unbuilt] = unbuiltSources(seeds);
    if (unbuilt) throw new UserError(`${unbuilt} is not built yet: build the app (npm run build).`, EXIT.config);
  }
  if (command !== 'seed') {
    const { migrationsDir } = app;
    const runs = migrationsDir !== false && command !== 'rollback';
    for (const file of runs ? unbuiltSources(migrationsDir) : []) {
      process.stderr.write(`${file} is not built yet, so it is left out: build the app (npm run build).\n`);
      if (command === 'status') process.exitCode = EXIT.failed;
    }
    const lines = await withDatabase(config, 'Nothing done', (database) => migrated(app, database, command));
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  }
  if (command === 'seed' || command === 'reset') await seed(app, config, seeds);
  process.exit(process.exitCode ?? EXIT.ok);
};

const COMMANDS = ['migrate', 'rollback', 'status', 'seed', 'reset'] as const;
type DbCommand = (typeof COMMANDS)[number];

async function migrated(
  app: AppDefinition,
  { knex }: Database,
  command: Exclude<DbCommand, 'seed'>,
): Promise<readonly string[]> {
  const migrations = findMigrations(app);
  if (command === 'status') {
    const states = await migrationStates(knex, migrations);
    if (states.some(({ done }) => !done)) process.exitCode = EXIT.failed;
    return states.map(({ name, done }) => `${done ? 'done   ' : 'pending'} ${name}`);
  }
  const lines: string[] = [];
  const add = (did: string, names: readonly string[]) => void lines.push(...names.map((name) => `${did} ${name}`));
  if (command === 'rollback' || command === 'reset')
    add('rolled back', await migrateDown(knex, migrations, { all: command === 'reset' }));
  if (command === 'migrate' || command === 'reset') add('migrated', await migrateUp(knex, migrations));
  return lines.length === 0 ? ['There was nothing to do.'] : lines;
}

/** Runs the functions that the files of `seeds` default-export, in the order of their names. */
async function seed(app: AppDefinition, config: Config, folder: string): Promise<void> {
  const names = fs.existsSync(folder)
    ? fs.readdirSync(folder).filter((name) => /(?<!\.d)\.[cm]?[jt]s$/.test(name))
    : [];
  if (names.length === 0) {
    process.stdout.write(`There is nothing to seed: no file in ${folder}.\n`);
    return;
  }
  const connection = await AppConnection.open(app, config, { as: 'seed', doing: 'Nothing seeded' });
  try {
    for (const name of names.sort()) {
      await (await loadMain(path.join(folder, name), app.importFile))();
      await connection.settled();
      process.stdout.write(`seeded ${name}\n`);
    }
  } finally {
    await connection.disconnect();
  }
}

function parsed(args: readonly string[]): { readonly command: DbCommand; readonly force: boolean } {
  const options = { force: { type: 'boolean' } } as const;
  const { values, positionals } = readArguments('db', { args, options, allowPositionals: true });
  const [word, surplus] = positionals;
  const command = COMMANDS.find((name) => name === word);
  if (command === undefined) throw noCommand(word);
  if (surplus !== undefined) throw surplusWord(`db ${command}`, surplus);
  if (values.force && command !== 'reset')
    throw new UserError(`--force belongs to db reset; db ${command} has none. See catamount help db.`, EXIT.usage);
  return { command, force: values.force === true };
}

function noCommand(word: string | undefined): UserError {
  // The generator writes it, which apps do not load.
  if (word === 'make') return new UserError('A migration is written by catamount db make NAME.', EXIT.usage);
  const known = [...COMMANDS, 'make'];
  const meant = word === undefined ? undefined : didYouMean(word, known);
  const hint = meant === undefined ? `There are ${known.join(', ')}.` : `Did you mean db ${meant}?`;
  const wrong = word === undefined ? 'db needs a command.' : `"db ${word}" is not a command.`;
  return new UserError(`${wrong} ${hint} See catamount help db.`, EXIT.usage);
}
