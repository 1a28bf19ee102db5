import path from 'node:path';
import { withAdvice } from './data-folder';
import type { EmbeddedServer } from './embedded-server';
import type { EmbeddedUrls } from './embedded-servers';
import { PostgresServer } from './postgres-server';
import { RedisServer } from './redis-server';

/**
 * The servers that run in a state folder now, whoever has started them: what is not there is undefined, and nothing is
 * started. @throws UserError for one that runs but does not answer, or that this user may not see.
 */
export function findRunningServers(stateDir: string): Promise<EmbeddedUrls> {
  const folder = path.resolve(stateDir);
  const urlOf = async (server: EmbeddedServer) => {
    const found = await server.find();
    return found && server.url(found.port);
  };
  return withAdvice(async () => {
    const urls = [new PostgresServer(folder), new RedisServer(folder)].map(urlOf);
    const [databaseUrl, redisUrl] = await Promise.all(urls);
    return { ...(databaseUrl !== undefined && { databaseUrl }), ...(redisUrl !== undefined && { redisUrl }) };
  });
}
