import type { AppDefinition, Connection } from '../app/app-definition';
import { ownSettings } from '../app/own-settings';
import { AppConnection } from './connection';

/**
 * Connects a process that is not part of the tree, such as another server or a test of one: `performLater`,
 * `deliverLater`, `transaction()` and models work in it until `disconnect()`. It runs no jobs and serves no pages.
 * @throws UserError for wrong settings, and when Redis or Postgres does not answer.
 */
export async function connect(app: AppDefinition): Promise<Connection> {
  return AppConnection.open(app, ownSettings(), { as: 'client', doing: 'Cannot connect' });
}
