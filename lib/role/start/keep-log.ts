import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { Database } from '../../model/database';
import { LogKeeper } from '../../ops/search/log-keeper';
import { accessMode } from '../../ops/ui/access-mode';
import type { Service } from '../../support/service';
import type { AppDefinition } from '../app/app-definition';

/** Keeps lines of this process's log for the operator's pages, if there are any. @returns what has to be stopped. */
export function keepLog(app: AppDefinition, config: Config, events: Events, { knex }: Database): Service[] {
  if (accessMode(config) === 'absent' && !app.ops?.authorize) return [];
  const keeper = new LogKeeper(knex, config.release);
  events.emit('log.kept', keeper);
  return [keeper];
}
