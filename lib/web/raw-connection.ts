import type http from 'node:http';
import type net from 'node:net';

/** The handle under a TCP socket: what Node passes between processes. Private to Node, so used in this file alone. */
export interface RawConnection {
  readStop(): void;
  close(): void;
}

interface Inside {
  readonly _handle?: RawConnection | null;
}

interface ListeningInside {
  readonly _handle?: { onconnection(status: number, connection: RawConnection): void } | null;
}

/** The connections of a server of which no byte of a (next) request was read. */
export class IdleConnections {
  private readonly sockets = new Set<net.Socket>();
  private readonly leaving = new WeakSet<net.Socket>();

  constructor(private readonly server: http.Server) {
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  /**
   * Takes every idle connection off this server and gives it away. Nothing is lost with it: reading stops first, so a
   * request that is just arriving waits in the kernel for whoever reads next. Our copy is closed once `give` is done.
   */
  giveAway(give: (connection: RawConnection, done: () => void) => void): void {
    for (const socket of this.find()) {
      const connection = (socket as unknown as Inside)._handle;
      if (!connection) continue;
      this.leaving.add(socket);
      socket.setTimeout(0);
      connection.readStop();
      give(connection, () => socket.destroy());
    }
  }

  /** Asks Node: those that closeIdleConnections() would destroy, with destroying switched off for the call. */
  private find(): net.Socket[] {
    const idle: net.Socket[] = [];
    for (const socket of this.sockets) {
      socket.destroy = () => {
        if (!this.leaving.has(socket)) idle.push(socket);
        return socket;
      };
    }
    this.server.closeIdleConnections();
    for (const socket of this.sockets) Reflect.deleteProperty(socket, 'destroy');
    return idle;
  }
}

/** Serves a connection that another process accepted. @returns false when the server no longer listens. */
export function adopt(server: http.Server, connection: RawConnection): boolean {
  const listening = (server as unknown as ListeningInside)._handle;
  if (!listening) return false;
  listening.onconnection(0, connection);
  return true;
}
