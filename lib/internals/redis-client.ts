import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as Redis from 'redis';

const client = load();
/** The `createClient` of the package `redis`. */
export const createClient = client.createClient;

const OF_CLIENT = [
  client.ClientClosedError,
  client.ClientOfflineError,
  client.DisconnectsClientError,
  client.SocketClosedUnexpectedlyError,
];

/**
 * Loads `@redis/client` alone. The package `redis` adds modules for search, JSON, time series and Bloom filters, which nothing
 * here uses: 170 files, 45 ms and 4 MB of heap in every process. The build has put the 478 files of `@redis/client` into one,
 * which saves as much time again. An app that has another version of it gets that one.
 */
function load(): typeof Redis {
  const ofThePackage = createRequire(require.resolve('redis'));
  const { version } = ofThePackage('@redis/client/package.json') as { readonly version: string };
  const bundle = `${__dirname}/redis-client-${version}.js`;
  return ofThePackage(existsSync(bundle) ? bundle : '@redis/client') as typeof Redis;
}

/** Sends all commands of a client except those of MULTI. */
interface Sender {
  sendCommand(args: readonly string[], options?: object): Promise<unknown>;
  readonly _self?: Sender;
}

/** Calls `onReply` with the promise of each reply, except to MULTI. Private: `_self`; without it, to raw commands only. */
export function watchReplies(client: object, onReply: (reply: Promise<unknown>) => void): void {
  replaceReplies(client, (reply) => {
    onReply(reply);
    return reply;
  });
}

export function replaceRejections(client: object, replaced: (error: unknown) => unknown): void {
  replaceReplies(client, (reply) =>
    reply.catch((error: unknown) => {
      throw replaced(error);
    }),
  );
}

function replaceReplies(client: object, replaced: (reply: Promise<unknown>) => Promise<unknown>): void {
  const sender = senderOf(client as Sender);
  const send = sender.sendCommand;
  sender.sendCommand = function (this: Sender, args, options) {
    return replaced(send.call(this, args, options));
  };
}

function senderOf(client: Sender): Sender {
  return typeof client._self?.sendCommand === 'function' ? client._self : client;
}

export function isNoScript(error: unknown): boolean {
  return error instanceof Error && replyCode(error) === 'NOSCRIPT';
}

/**
 * @returns true for a write that was rejected because the server is no longer the master, or does not have the keys.
 */
export function isDemotion(error: unknown): boolean {
  return error instanceof Error && ['READONLY', 'NOREPLICAS', 'MOVED'].includes(replyCode(error));
}

/**
 * @returns the code with which an error reply of Redis begins, such as `READONLY`; of any other error its first word. For
 * an error inside a script Redis 6.2 puts the code after a dash, in the middle of the message.
 */
export function replyCode({ message }: Error): string {
  return /^(?:ERR .*: -)?(\w*)/.exec(message)?.[1] ?? '';
}

/** @returns true for an error that the client has made itself, since it has no connection. */
export function isOfClient(error: unknown): boolean {
  return error instanceof Error && OF_CLIENT.some((kind) => error instanceof kind);
}
