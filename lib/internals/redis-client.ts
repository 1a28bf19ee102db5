import { createRequire } from 'node:module';
import type * as Redis from 'redis';

/** The `createClient` of the package `redis`. */
export const createClient = load().createClient;

/**
 * Loads `@redis/client` alone. The package `redis` adds modules for search, JSON, time series and Bloom filters, which
 * nothing here uses: 170 files, 45 ms and 4 MB of heap in every process.
 */
function load(): Pick<typeof Redis, 'createClient'> {
  const ofThePackage = createRequire(require.resolve('redis'));
  return ofThePackage('@redis/client') as typeof Redis;
}

/** Sends all commands of a client except those of MULTI. */
interface Sender {
  sendCommand(args: readonly string[], options?: object): Promise<unknown>;
  readonly _self?: Sender;
}

/** Calls `onReply` with the promise of each reply, except to MULTI. Private: `_self`; without it, to raw commands only. */
export function watchReplies(client: object, onReply: (reply: Promise<unknown>) => void): void {
  const sender = senderOf(client as Sender);
  const send = sender.sendCommand;
  sender.sendCommand = function (this: Sender, args, options) {
    const reply = send.call(this, args, options);
    onReply(reply);
    return reply;
  };
}

/** Calls `onRejected` with the error of each command of this client that fails. */
export function watchRejections(client: object, onRejected: (error: unknown) => void): void {
  watchReplies(client, (reply) => void reply.catch(onRejected));
}

function senderOf(client: Sender): Sender {
  return typeof client._self?.sendCommand === 'function' ? client._self : client;
}

export function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/**
 * @returns true for a write that was rejected because the server is no longer the master, or does not have the keys. For
 * an error inside a script Redis 6.2 puts the code after a dash, in the middle of the message.
 */
export function isDemotion(error: unknown): boolean {
  return error instanceof Error && /(?:^|-)(?:READONLY|NOREPLICAS|MOVED)\b/.test(error.message);
}
