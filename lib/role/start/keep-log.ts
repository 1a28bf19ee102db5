import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { Database } from '../../model/database';
import { DeployLog } from '../../ops/deploys/deploy-log';
import { LogKeeper } from '../../ops/search/log-keeper';
import { accessMode } from '../../ops/ui/access-mode';
import type { Service } from '../../support/service';
import type { AppDefinition } from '../app/app-definition';

/** Keeps lines of this process's log, and its release, for the operator's pages, if there are any. @returns what does it. */
export function keepLog(app: AppDefinition, config: Config, events: Events, { knex }: Database): Service[] {
  if (accessMode(config) === 'absent' && !app.ops?.authorize) return [];
  const keeper = new LogKeeper(knex);
  events.emit('log.kept', keeper);
  const release: Service = {
    name: 'release',
    // Nobody waits for it: each process of the release does the same.
    async start() {
      if (config.release !== null) new DeployLog(knex).begun(config.release).catch(() => undefined);
    },
    async stop() {},
  };
  return [keeper, release];
}
