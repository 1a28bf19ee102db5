import { randomInt } from 'node:crypto';
import { freePort } from '../../lib/embedded/server-process';

/** Below the ports that systems give to outgoing connections and to servers that ask for any port (32768 on Linux). */
const LOWEST = 10_000;
const HIGHEST = 32_767;

/**
 * Finds a free port of 127.0.0.1 for a server that keeps its port while it is down, or where nothing must listen. One
 * that the system chose could be given to any connection until the server starts, or while it is down.
 */
export async function serverPort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST + 1);
    if (await isFree(port)) return port;
  }
}

/** A node of a cluster talks to the others on this many ports above its own; Redis 6.2 has no setting for that. */
const BUS_OFFSET = 10_000;

/** Finds one for a node of a Redis cluster: the port of its bus is free, too. */
export async function clusterPort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST + 1 - BUS_OFFSET);
    if ((await isFree(port)) && (await isFree(port + BUS_OFFSET))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  return (await freePort(port)) === port;
}
