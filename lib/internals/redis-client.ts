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

/** Through which all commands of a client go but those of MULTI. */
interface Sender {
  sendCommand(args: readonly string[], options?: object): Promise<unknown>;
  readonly _self?: Sender;
}

/** Calls `onReply` with the promise of each reply but those to MULTI. Private: `_self`; without it, of raw commands only. */
export function watchReplies(client: object, onReply: (reply: Promise<unknown>) => void): void {
  const sender = senderOf(client as Sender);
  const send = sender.sendCommand;
  sender.sendCommand = function (this: Sender, args, options) {
    const reply = send.call(this, args, options);
    onReply(reply);
    return reply;
  };
}

/** Calls `onRejected` with each error that a command of this client is answered with. */
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
 * @returns true for a write that was rejected because the server is no master any more, or not that of the keys. Redis
 * 6.2 puts the code of an error inside a script behind a dash, in the middle of the message.
 */
export function isDemotion(error: unknown): boolean {
  return error instanceof Error && /(?:^|-)(?:READONLY|NOREPLICAS|MOVED)\b/.test(error.message);
}
