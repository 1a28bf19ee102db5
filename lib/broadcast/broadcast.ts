import { AsyncResource } from 'node:async_hooks';
import { NotConnectedError } from '../core/errors';
import type { JsonValue } from '../core/execution-context';
import { currentTransaction, onOutcome } from '../model/transaction';
import { toError } from '../support/to-error';

/** Maximum size of a message as JSON, bytes. */
const MAX_BYTES = 65_536;
const CHANNEL = /^\S{1,200}$/;

declare const messageOf: unique symbol;

/** The name of a channel, and in TypeScript the type of its messages: `const chat: Channel<ChatMessage> = 'chat'`. */
export type Channel<T = unknown> = string & {
  /** For the compiler only. */
  readonly [messageOf]?: T;
};

/** The type itself if JSON keeps its values as they are; otherwise a type that no value fits. */
export type JsonMessage<T> = T extends JsonValue | undefined
  ? T
  : T extends (...args: never[]) => unknown
    ? never
    : T extends object
      ? { readonly [K in keyof T]: JsonMessage<T[K]> }
      : unknown extends T
        ? T
        : never;

/** Takes broadcasts to other processes and brings theirs, each as a frame: the channel, a space, the message as JSON. */
export interface Carrier {
  /** Called once, when this process first subscribes. @returns a promise that resolves when frames arrive from now on. */
  listen(hear: (frame: string) => void): Promise<unknown>;
  send(frame: string): void;
}

interface Connection {
  /** Each reaches processes that no other does, so that no process gets a frame twice. */
  readonly carriers: readonly Carrier[];
  /** Gets the error of a subscriber. @param during names its channel. */
  readonly onError: (error: Error, during: string) => void;
}

type Subscriber = (message: unknown) => unknown;

const subscribers = new Map<string, Set<Subscriber>>();
let connected: Connection | undefined;
/** Resolves when all carriers bring frames; undefined while nobody has subscribed. */
let listening: Promise<unknown> | undefined;

/** Sets the way to other processes; `undefined` disconnects. The role calls it at boot and stop. */
export function connectBroadcasts(connection: Connection | undefined): void {
  connected = connection;
  listening = undefined;
  listen();
}

/** For tests, unless this process is connected: broadcasts reach its own subscribers only, whose errors fail the test run. */
export function keepBroadcastsHere(): void {
  const onError = (error: Error) => {
    throw error;
  };
  if (!connected) connectBroadcasts({ carriers: [], onError });
}

/** Resolves when everything that is broadcast from now on reaches the subscribers of this process; at once without any. */
export async function subscribed(): Promise<void> {
  await listening;
}

/**
 * Sends a message to all subscribers of the channel: in this process, in the other processes of the tree, and by Redis in
 * those of the app's other trees. Each gets it at most once, and those of one process in the order in which it was sent.
 * Inside `transaction()` it is sent after the commit, and never after a rollback. It is not stored: whoever subscribes later
 * misses it, and other trees also miss what is sent while Redis is away.
 * @param channel up to 200 characters without blanks, such as `room:7`. @param message a JSON value, at most 64 kB of JSON.
 * @throws TypeError for another name or value; RangeError for a larger one; NotConnectedError before `boot` or `connect`.
 */
export function broadcast<T>(channel: Channel<T>, message: NoInfer<JsonMessage<T>>): void {
  const frame = encodeFrame(checked(channel), message);
  if (!connected)
    throw new NotConnectedError(
      'broadcast() was called in a process that is not connected: use catamount run or await connect(app)',
    );
  const trx = currentTransaction();
  if (trx) onOutcome(trx, (committed) => committed && send(frame));
  else send(frame);
}

/**
 * Calls `listener` with each message of the channel from now on, whichever process broadcasts it. All subscribers in one
 * process get the same object. An error that the listener throws, or rejects with, is logged.
 * @returns a function that ends the subscription.
 * @throws TypeError for a channel's name that is not 1 to 200 characters without blanks.
 */
export function subscribe<T>(channel: Channel<T>, listener: (message: T) => unknown): () => void {
  const name = checked(channel);
  // In the context of its subscription, not in the request or the transaction of whoever broadcasts.
  const subscriber = AsyncResource.bind(listener as Subscriber);
  const all = subscribers.get(name) ?? new Set();
  subscribers.set(name, all.add(subscriber));
  listen();
  return () => {
    all.delete(subscriber);
    if (all.size === 0 && subscribers.get(name) === all) subscribers.delete(name);
  };
}

function listen(): void {
  if (connected && subscribers.size > 0)
    listening ??= Promise.all(connected.carriers.map((carrier) => carrier.listen(hear)));
}

function send(frame: string): void {
  // Not at once: what its subscribers broadcast themselves comes after it, for all of them.
  queueMicrotask(() => hear(frame));
  for (const carrier of connected?.carriers ?? []) carrier.send(frame);
}

function hear(frame: string): void {
  const [channel, json] = splitFrame(frame);
  const all = subscribers.get(channel);
  if (!all) return;
  const message = JSON.parse(json) as unknown;
  for (const subscriber of [...all]) void call(subscriber, message, channel);
}

async function call(subscriber: Subscriber, message: unknown, channel: string): Promise<void> {
  try {
    await subscriber(message);
  } catch (thrown) {
    connected?.onError(toError(thrown), `a subscriber of ${channel}`);
  }
}

/** @returns what is before the first space, and what is after it. */
export function splitFrame(frame: string): [string, string] {
  const at = frame.indexOf(' ');
  return [frame.slice(0, at), frame.slice(at + 1)];
}

function encodeFrame(channel: string, message: unknown): string {
  const json = JSON.stringify(message) as string | undefined;
  if (json === undefined) throw new TypeError(`a message to ${channel} must be a JSON value; it is ${typeof message}`);
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_BYTES)
    throw new RangeError(
      `a message to ${channel} is ${bytes} bytes of JSON, and at most ${MAX_BYTES} are allowed: send the id of what it is about`,
    );
  return `${channel} ${json}`;
}

function checked(channel: unknown): string {
  if (typeof channel === 'string' && CHANNEL.test(channel)) return channel;
  const shown = typeof channel === 'string' ? JSON.stringify(channel.slice(0, 210)) : String(channel);
  throw new TypeError(`a channel is named by 1 to 200 characters without blanks, such as room:7; this is ${shown}`);
}
