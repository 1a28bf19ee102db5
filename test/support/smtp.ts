import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import { until } from './until';

/** The SMTP step that fails. `drop` destroys the connection in the middle of DATA. */
export type FailureStage = 'connect' | 'auth' | 'mail' | 'rcpt' | 'data' | 'drop';

/** A received mail: the parsed message with its envelope and transport. */
export type ReceivedMail = ParsedMail & {
  /** The bytes as received, one latin1 character each. */
  readonly raw: string;
  readonly envelope: { readonly from: string; readonly to: string[] };
  /** true if the mail arrived over TLS. */
  readonly secure: boolean;
};

export interface SinkOptions {
  /** `starttls` offers the upgrade; `implicit` speaks TLS from the first byte. Default: no TLS at all. */
  readonly tls?: { readonly kind: 'starttls' | 'implicit'; readonly chain: string; readonly key: string };
}

interface Failure {
  readonly code: number;
  readonly message: string;
  readonly stage: FailureStage;
}

/** A real SMTP server that keeps the mails it receives and fails on request. */
export class SmtpSink {
  readonly messages: ReceivedMail[] = [];
  private readonly failures: Failure[] = [];
  /** Rejects every login while it is set. */
  login: { readonly code: number; readonly message: string } | undefined;
  private readonly sockets = new Set<Socket>();
  private readonly held: ((keep: boolean) => void)[] = [];
  private holding = false;
  private readonly server: SMTPServer;

  constructor(private readonly options: SinkOptions = {}) {
    const { tls } = options;
    this.server = new SMTPServer({
      authOptional: true,
      ...(tls
        ? { secure: tls.kind === 'implicit', cert: tls.chain, key: tls.key }
        : { hideSTARTTLS: true, disabledCommands: ['STARTTLS'] }),
      disableReverseLookup: true,
      logger: false,
      closeTimeout: 50,
      onConnect: (_session, done) => done(this.failure('connect')),
      onAuth: (auth, _session, done) =>
        done(this.rejected() ?? this.failure('auth'), { user: auth.username ?? 'anybody' }),
      onMailFrom: (_address, _session, done) => done(this.failure('mail')),
      onRcptTo: (_address, _session, done) => done(this.failure('rcpt')),
      onData: (stream, session, done) => {
        this.receive(stream, session).then(() => done(), done);
      },
    });
    // Some tests break the client's connection on purpose.
    this.server.on('error', () => undefined);
    this.server.server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.server.once('error', reject);
      this.server.listen(0, '127.0.0.1', resolve);
    });
  }

  get port(): number {
    return (this.server.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.options.tls?.kind === 'implicit' ? 'smtps' : 'smtp'}://127.0.0.1:${this.port}`;
  }

  /** The number of mails whose DATA has arrived and has not been answered because of `hold()`. */
  get waiting(): number {
    return this.held.length;
  }

  /** Rejects the next attempt at `stage`. Several calls cause as many failures. */
  failNext(code: number, message: string, stage: FailureStage = 'data'): void {
    this.failures.push({ code, message, stage });
  }

  /** From now on mails are received, but neither stored nor answered until `release()` or `discard()`. */
  hold(): void {
    this.holding = true;
  }

  release(): void {
    this.holding = false;
    for (const go of this.held.splice(0)) go(true);
  }

  /** Ends `hold()` without storing the held mails, whose clients have disconnected without a reply. */
  discard(): void {
    this.holding = false;
    for (const go of this.held.splice(0)) go(false);
  }

  /** Resolves with all mails once there are `wanted` of them, or with the matching ones once there is one. */
  async waitFor(wanted: number | ((mail: ReceivedMail) => boolean)): Promise<ReceivedMail[]> {
    const what = typeof wanted === 'number' ? `mails: ${wanted}` : 'a matching mail';
    const seen = () => this.messages.map((mail) => `${mail.subject} to ${mail.envelope.to}`);
    const found = () => {
      const matching = typeof wanted === 'number' ? this.messages : this.messages.filter(wanted);
      return matching.length >= (typeof wanted === 'number' ? wanted : 1) ? matching : undefined;
    };
    return until(`the SMTP server has received ${what}`, found).catch((error: Error) => {
      throw new Error(`${error.message}; received: ${JSON.stringify(seen())}`);
    });
  }

  async stop(): Promise<void> {
    this.release();
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private async receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    if (this.failure('drop')) {
      for (const socket of this.sockets) if (socket.remotePort === session.remotePort) socket.destroy();
      stream.resume();
      return;
    }
    const raw = await buffer(stream);
    const mail = await simpleParser(raw);
    const failure = this.failure('data');
    if (failure) throw failure;
    if (this.holding && !(await new Promise<boolean>((go) => this.held.push(go)))) return;
    const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
    const to = session.envelope.rcptTo.map((recipient) => recipient.address);
    this.messages.push(
      Object.assign(mail, { raw: raw.toString('latin1'), envelope: { from, to }, secure: session.secure }),
    );
  }

  private rejected(): (Error & { responseCode: number }) | undefined {
    return this.login && Object.assign(new Error(this.login.message), { responseCode: this.login.code });
  }

  private failure(stage: FailureStage): (Error & { responseCode: number }) | undefined {
    const index = this.failures.findIndex((failure) => failure.stage === stage);
    const [failure] = index < 0 ? [] : this.failures.splice(index, 1);
    return failure && Object.assign(new Error(failure.message), { responseCode: failure.code });
  }
}

export async function startSmtpSink(options: SinkOptions = {}): Promise<SmtpSink> {
  const sink = new SmtpSink(options);
  await sink.start();
  return sink;
}
