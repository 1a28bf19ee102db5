/**
 * What a child of the tree has of its process: the channel to the primary, a title, an end. In a forked child it is Node's
 * `process`; a part that runs in the primary's process has `primary/in-process-child`.
 */
export interface ParentChannel {
  title: string;
  readonly connected: boolean;
  send?(message: object, connection?: unknown, options?: undefined, sent?: () => void): unknown;
  on(event: 'message', listener: (message: unknown, connection: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
  exit(code: number): void;
}

export const FORKED = process as ParentChannel;

/** Sends a message, unless the primary is gone. @param sent called once it is written, or dropped. */
export function tell(
  parent: ParentChannel,
  message: object,
  sent: () => void = () => undefined,
  connection?: unknown,
): void {
  if (parent.connected && parent.send) parent.send(message, connection, undefined, sent);
  else sent();
}
