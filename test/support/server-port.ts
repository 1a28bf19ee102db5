import { randomInt } from 'node:crypto';
import { freePort } from '../../lib/embedded/server-process';

/** The range ends below the ports that systems assign to outgoing connections and to servers (32768 on Linux). */
const MIN_PORT = 10_000;
const MAX_PORT = 32_767;

/**
 * Finds a free port of 127.0.0.1 for a server that keeps its port while it is down, or on which nothing must listen.
 * The system could assign a port of its own choice to any other connection before the server starts, or while it is
 * down.
 */
export async function serverPort(): Promise<number> {
  for (;;) {
    const port = randomInt(MIN_PORT, MAX_PORT + 1);
    if (await isFree(port)) return port;
  }
}

/** Distance from a cluster node's port to that of its bus, for which Redis 6.2 has no setting. */
const BUS_OFFSET = 10_000;

/** Finds a free port for a node of a Redis cluster, whose bus port is free as well. */
export async function clusterPort(): Promise<number> {
  for (;;) {
    const port = randomInt(MIN_PORT, MAX_PORT + 1 - BUS_OFFSET);
    if ((await isFree(port)) && (await isFree(port + BUS_OFFSET))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  return (await freePort(port)) === port;
}
