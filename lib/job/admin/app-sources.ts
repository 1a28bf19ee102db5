import { NotConnectedError } from '../../core/errors';
import { databaseInUse } from '../../model/transaction';
import type { SetSources } from '../sets/query';

type Connected = Omit<SetSources, 'knex' | 'via'>;

let connected: Connected | undefined;

/** Makes `Jobs` work in this process; undefined ends that. */
export function connectAdmin(sources: Connected | undefined): void {
  connected = sources;
}

/**
 * What the app's own code works on: in a transaction its connection, so that nothing waits for a second one.
 * @throws NotConnectedError.
 */
export function appSources(caller: string): SetSources {
  if (connected) return { ...connected, knex: databaseInUse(caller), via: 'app' };
  throw new NotConnectedError(
    `${caller} was called in a process that is not connected: call it from a request or a job, from a file that catamount run runs, or after await connect(app). Fake and inline jobs of tests have no sets.`,
  );
}
