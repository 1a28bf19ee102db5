import { type Sender, senderOf } from './redis-client';

/** Puts the object behind another client behind this one, so that those who have this one use the other's connection. */
export function replaceClient(client: object, other: object): void {
  Object.setPrototypeOf(client, Object.getPrototypeOf(other));
}

/** Calls `onReply` with the promise of each reply, but not of those to MULTI. */
export function watchReplies(client: object, onReply: (reply: Promise<unknown>) => void): void {
  const sender = senderOf(client as Sender);
  const send = sender.sendCommand;
  sender.sendCommand = function (this: Sender, args, options) {
    const reply = send.call(this, args, options);
    onReply(reply);
    return reply;
  };
}
