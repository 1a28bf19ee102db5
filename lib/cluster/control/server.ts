import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { version } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { listenOnFile } from '../../core/listen-address';
import { STOP_PHASES } from '../../core/shutdown';
import type { Deadline } from '../../support/deadline';
import { deferred } from '../../support/deferred';
import type { Service } from '../../support/service';
import { toError } from '../../support/to-error';
import type { Operations } from '../status';
import { type Answer, type Invocation, readRequest, refusal } from './request';
import { clearSocketPath, isListening, readState, socketAddress, takenError, writeState } from './state-file';

/** Time limit for a whole request, ms: it is a few headers on a local socket. */
const PATIENCE_MS = 3000;
const MAX_HEADER_SIZE = 8192;
/** Slow commands keep their connection until they are done. */
const MAX_CONNECTIONS = 64;

export interface ControlOptions {
  /** The settings `config.control`. */
  readonly control: { readonly socket: string; readonly stateFile: string };
  /** Maximum duration of a stop, ms, which the answer to `stop` contains. */
  readonly shutdownTimeoutMs: number;
  /** true: the tree runs without Redis, which the state file says. */
  readonly redisOff?: boolean;
  readonly operations: Operations;
  readonly events: Events;
  /** Time limit for a request to arrive completely, ms. Default PATIENCE_MS. */
  readonly patienceMs?: number;
}

/**
 * Serves operators' commands: HTTP on a Unix socket that only the tree's user may open, with a token that is kept only
 * in the state file. No request can disturb the primary.
 */
export class ControlServer implements Service {
  readonly name = 'control';
  private readonly server: http.Server;
  /** Hexadecimal, since a token in base64url may begin with a dash, which a command line would take for an option. */
  private readonly token = randomBytes(32).toString('hex');
  /** The text of the state file, once it is written. */
  private stateText: string | undefined;
  private removeSocket: () => void = () => undefined;
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: ControlOptions) {
    const { patienceMs = PATIENCE_MS } = options;
    const limits = {
      headersTimeout: patienceMs,
      requestTimeout: patienceMs,
      connectionsCheckingInterval: patienceMs / 6,
      maxHeaderSize: MAX_HEADER_SIZE,
    };
    this.server = http.createServer(limits, (request, response) => {
      this.serve(request, response).catch((error) => this.report(error, 'control socket'));
    });
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.on('clientError', refuseMalformed);
  }

  /**
   * @param takesOver true: takes the place of the tree that listens there.
   * @throws UserError when another tree listens there, or the path cannot be used.
   */
  start(takesOver = false): Promise<void> {
    this.starting ??= this.startOnce(takesOver);
    return this.starting;
  }

  stop(deadline: Deadline): Promise<void> {
    this.stopping ??= this.stopOnce(deadline);
    return this.stopping;
  }

  private async startOnce(takesOver: boolean): Promise<void> {
    if (this.stopping) return;
    const { control, redisOff } = this.options;
    const { socket, stateFile } = control;
    try {
      // Read first, so as not to overwrite a file that is not a state file, or that belongs to a tree running elsewhere.
      const former = readState(stateFile);
      if (!takesOver && former && (await isListening(former.controlSocket).catch(() => false)))
        throw takenError(former.controlSocket);
      if (!takesOver) await clearSocketPath(socket);
      await this.listen(socket, takesOver);
      this.stateText = writeState(stateFile, {
        pid: process.pid,
        startedAt: new Date().toISOString(),
        controlSocket: socket,
        token: this.token,
        cwd: process.cwd(),
        version: version(),
        ...(redisOff && { redisOff }),
      });
    } catch (error) {
      this.removeSocket();
      this.server.close();
      throw advice(toError(error));
    }
  }

  private async stopOnce(deadline: Deadline): Promise<void> {
    await this.starting?.catch(() => undefined);
    if (!this.server.listening) return;
    this.removeState();
    this.removeSocket();
    const closed = deferred();
    this.server.close(() => closed.resolve());
    if ((await deadline.part(STOP_PHASES.lastAnswers).wait(closed.promise)) === 'done') return;
    this.server.closeAllConnections();
    await closed.promise;
  }

  /** Keeps a file that a later tree has written, and one that cannot be read. */
  private removeState(): void {
    const { stateFile } = this.options.control;
    try {
      if (fs.readFileSync(stateFile, 'utf8') !== this.stateText) return;
    } catch {
      return;
    }
    fs.rmSync(stateFile, { force: true });
  }

  private async listen(file: string, replace: boolean): Promise<void> {
    const listening = deferred();
    const fail = (error: NodeJS.ErrnoException) =>
      listening.reject(error.code === 'EADDRINUSE' ? takenError(file) : error);
    this.server.once('error', fail);
    this.server.once('listening', () => listening.resolve());
    this.removeSocket = listenOnFile(
      this.server,
      { kind: 'unix', path: socketAddress(file), mode: 0o600 },
      { replace },
    );
    await listening.promise;
    this.server.off('error', fail);
    this.server.on('error', (error) => this.report(error, 'control socket'));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A connection carries one command, so no idle connection is left behind.
    response.shouldKeepAlive = false;
    response.on('error', () => undefined);
    const invocation = readRequest(request, this.token);
    if ('status' in invocation) return send(response, invocation);
    const { name, method } = invocation.command;
    const command = [name, ...invocation.args].join(' ');
    if (method === 'POST') this.options.events.emit('operator.command', { command, via: 'socket' });
    if (invocation.command.final) this.endWith(invocation, response);
    else send(response, await this.run(invocation));
  }

  /** Answers first, since the command ends the process. */
  private endWith(invocation: Invocation, response: ServerResponse): void {
    response.once('close', () => void this.run(invocation));
    const { shutdownTimeoutMs } = this.options;
    send(response, { status: 202, body: { status: 'ok', pid: process.pid, shutdown_timeout_ms: shutdownTimeoutMs } });
  }

  private async run({ command, args }: Invocation): Promise<Answer> {
    try {
      return { status: 200, body: await command.run(this.options.operations, ...args) };
    } catch (thrown) {
      const error = toError(thrown);
      if (error instanceof UserError) return refusal(409, error.message);
      this.report(error, `the command ${command.name}`);
      return refusal(500, error.message);
    }
  }

  private report(thrown: unknown, during: string): void {
    this.options.events.emit('process.error', { error: toError(thrown), during });
  }
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(`${JSON.stringify(body)}\n`);
}

const MALFORMED: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  const reason = MALFORMED[error.code ?? ''] ?? '400 Bad Request';
  if (socket.writable) socket.end(`HTTP/1.1 ${reason}\r\nconnection: close\r\n\r\n`, () => socket.destroy());
  else socket.destroy();
}

/** An error of the file system means that the paths are wrong: the message names the settings. */
function advice(error: NodeJS.ErrnoException): Error {
  if (error instanceof UserError || error.syscall === undefined) return error;
  return new UserError(
    `Catamount cannot start its control socket: ${error.message}. Set CONTROL_SOCKET and STATE_FILE to paths where ` +
      'this user may write.',
    EXIT.config,
  );
}
