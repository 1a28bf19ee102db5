import type { ChildProcess } from './child-process';
import type { Connection } from './worker';

interface NewConnection {
  readonly act: 'newconn';
  readonly seq: number;
}

interface Acknowledgement {
  readonly ack: number;
}

/**
 * The connections that Node's round robin sent to a worker and that the worker has not confirmed. When it is killed
 * meanwhile, Node forgets them, open and unread, and their clients would wait for ever. What was not confirmed was not
 * read either, so another worker can serve it.
 */
export class SentConnections {
  private readonly open = new Map<number, Connection>();

  constructor(process: ChildProcess) {
    const send = process.send as (message: unknown, ...rest: unknown[]) => boolean;
    // Reads along with Node's own protocol (lib/internal/cluster): there is no public event for it.
    const readAlong = (message: unknown, ...rest: unknown[]): boolean => {
      const [connection] = rest;
      if (connection && isNewConnection(message)) this.open.set(message.seq, connection as Connection);
      return send.call(process, message, ...rest);
    };
    process.send = readAlong as typeof process.send;
    process.on('internalMessage' as 'message', (message: unknown) => {
      if (isAcknowledgement(message)) this.open.delete(message.ack);
    });
  }

  /** After the worker's exit: those that nobody reads. */
  notTaken(): Connection[] {
    const connections = [...this.open.values()];
    this.open.clear();
    return connections;
  }
}

function isNewConnection(message: unknown): message is NewConnection {
  return typeof message === 'object' && message !== null && (message as Partial<NewConnection>).act === 'newconn';
}

function isAcknowledgement(message: unknown): message is Acknowledgement {
  return (
    typeof message === 'object' && message !== null && typeof (message as Partial<Acknowledgement>).ack === 'number'
  );
}
