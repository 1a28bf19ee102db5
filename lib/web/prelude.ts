import type net from 'node:net';
import tls from 'node:tls';
import type { Credentials } from '../core/tls';
import { type Arrival, arrivalOf, type ClientAddress, noteArrival, rawSocket } from '../internals/socket-handoff';
import { toError } from '../support/to-error';
import { readProxyHeader } from './proxy-protocol';

interface PreludeOptions {
  /** Serves a connection whose next bytes are HTTP. */
  readonly serve: (socket: net.Socket) => void;
  /** Time for a header or a handshake, ms. */
  readonly patienceMs: number;
  /** true for a peer that may send a header of the PROXY protocol. */
  readonly trusts: (peer: string) => boolean;
  /** A connection was closed before it was served. */
  readonly onRefused: (reason: string, peer: string) => void;
}

/** What comes before HTTP on a connection: a header of the PROXY protocol, then TLS. Each is there only if it was set. */
export class Prelude {
  private server: tls.Server | undefined;

  constructor(private readonly options: PreludeOptions) {}

  /** From now on handshakes use these. Connections that are open keep theirs. */
  secure({ cert, key, ticketKeys, clients }: Credentials): void {
    const context = { cert, key, ticketKeys: Buffer.from(ticketKeys, 'base64'), ...(clients && { ca: clients.ca }) };
    if (this.server) {
      this.server.setSecureContext(context);
      return;
    }
    const { serve, patienceMs: handshakeTimeout, onRefused } = this.options;
    const asked = clients && { requestCert: true, rejectUnauthorized: clients.isRequired };
    const options = { ...context, ...asked, ALPNProtocols: ['http/1.1'], handshakeTimeout };
    const refuse = (why: string, socket: tls.TLSSocket) =>
      onRefused(`the handshake of TLS failed: ${why}`, peerOf(rawSocket(socket)));
    this.server = tls.createServer(options, (socket) => {
      const hasCertificate = socket.getPeerX509Certificate() !== undefined;
      // Without a certificate it is a guest; with one that nobody has signed it is not.
      if (clients && !socket.authorized && hasCertificate) {
        refuse(`the client's certificate is not accepted: ${socket.authorizationError}`, socket);
        socket.destroy();
        return;
      }
      // Of a session without a certificate that is resumed Node says true.
      socket.authorized = hasCertificate;
      const { client } = arrivalOf(rawSocket(socket)) ?? {};
      if (client) setClient(socket, client);
      serve(socket);
    });
    // A socket that is closed has no address unless it was asked for it before.
    this.server.on('connection', peerOf);
    this.server.on('tlsClientError', (error: NodeJS.ErrnoException & { readonly reason?: string }, socket) => {
      const { authorizationError } = socket;
      if (authorizationError) refuse(`the client's certificate is not accepted: ${authorizationError}`, socket);
      // A client, or the check of a load balancer, that goes away is no mistake.
      else if (error.code !== 'ECONNRESET') refuse(error.reason ?? error.message, socket);
    });
  }

  /** Reads what comes before HTTP, then serves the connection. */
  receive(socket: net.Socket, arrival: Arrival): void {
    socket.on('error', () => undefined);
    if (arrival.proxyProtocol) this.readHeader(socket, arrival);
    else this.secured(socket, arrival);
  }

  private readHeader(socket: net.Socket, arrival: Arrival): void {
    const { trusts, patienceMs, onRefused } = this.options;
    const peer = peerOf(socket);
    const refuse = (reason: string) => {
      onRefused(reason, peer);
      socket.destroy();
    };
    if (!trusts(peer)) {
      refuse('its peer is none of TRUST_PROXY');
      return;
    }
    let bytes: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => refuse('no header of the PROXY protocol has come in time'), patienceMs);
    const hear = (chunk: Buffer) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      try {
        const header = readProxyHeader(bytes);
        if (!header) return;
        leave();
        if (header.client) setClient(socket, header.client);
        if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
        this.secured(socket, { tls: arrival.tls === true, ...(header.client && { client: header.client }) });
      } catch (thrown) {
        leave();
        refuse(toError(thrown).message);
      }
    };
    const leave = () => {
      clearTimeout(timer);
      socket.off('data', hear).off('end', end).pause();
    };
    const end = () => {
      leave();
      socket.destroy();
    };
    socket.once('close', () => clearTimeout(timer));
    socket.on('data', hear).on('end', end).resume();
  }

  private secured(socket: net.Socket, arrival: Arrival): void {
    // The next worker that gets the connection cannot read the header again.
    noteArrival(socket, arrival);
    if (arrival.client) setClient(socket, arrival.client);
    if (!arrival.tls) {
      this.options.serve(socket);
      // It was paused after the header, so that nothing is lost before somebody listens.
      socket.resume();
    } else if (this.server) this.server.emit('connection', socket);
    else socket.destroy();
  }
}

/** Makes a socket name another peer: the client in front of the proxy. */
function setClient(socket: net.Socket, client: ClientAddress): void {
  for (const [name, value] of Object.entries(client)) Object.defineProperty(socket, name, { value });
}

/** @returns the address of the peer; '' for a Unix socket. */
function peerOf(socket: net.Socket): string {
  return socket.remoteAddress ?? '';
}
