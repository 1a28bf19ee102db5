import { readArguments } from '../../core/command-line';
import type { Config } from '../../core/config';
import { asSentence } from '../../core/finding';
import type { AppCommand } from '../app/app-command';
import { type AppDefinition, findMigrations } from '../app/app-definition';
import { type FindingWithId, findings, thrownFinding } from '../checks/all-checks';
import { redisContext } from '../checks/redis';
import { AppConnection } from '../connect/connection';
import { report } from './report';

/**
 * `catamount doctor [--json]`: checks the environment in which the app will run, and says what to do about each problem.
 * With `--json` it prints `findings`, each with id, severity, finding and what_to_do. Exit code 1: there is a problem.
 * @throws UserError for wrong usage.
 */
export const runDoctor: AppCommand = async (app, args, readConfig) => {
  const { json } = readArguments('doctor', { args, options: { json: { type: 'boolean' } } }).values;
  const found = await findings('machine', 'doctor', app);
  const config = await readConfig().catch((thrown) => void found.push(thrownFinding('wrong_settings', thrown)));
  if (config) found.push(...(await aroundApp(app, config)));
  await report(found, json, (wrong, notes) => {
    const end = wrong.length === 0 ? 'All is as it should be.' : `Things to do: ${wrong.length}`;
    return [...notes, ...wrong.map(asSentence), end];
  });
};

async function aroundApp(app: AppDefinition, config: Config): Promise<FindingWithId[]> {
  const opened = await AppConnection.open(app, config, {
    as: 'doctor',
    doing: 'Cannot look further',
    needs: 'both',
  }).catch((thrown) => thrownFinding('unreachable', thrown));
  if (!(opened instanceof AppConnection)) return [...(await findings('settings', 'doctor', { config })), opened];
  const { database, redis } = opened;
  const { isOff, client } = redis;
  const unreadable = (error: Error) => [thrownFinding('unreadable', error)];
  const migrations = findMigrations(app);
  const ofRedis = redisContext({ name: 'Redis', client, appName: app.name, config });
  try {
    return [
      // Redis may be off only because it is for the tree that runs here.
      ...(await findings('settings', 'doctor', { config: { ...config, redisOff: isOff } })),
      ...(await findings('postgres', 'doctor', { config, migrations, database }, unreadable)),
      ...(isOff ? [] : await findings('redis', 'doctor', ofRedis, unreadable)),
    ];
  } finally {
    await opened.disconnect();
  }
}
