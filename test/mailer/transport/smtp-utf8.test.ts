import assert from 'node:assert/strict';
import net from 'node:net';
import readline from 'node:readline';
import { PermanentDeliveryError } from '../../../lib/mailer/definition/errors';
import { SmtpTransport } from '../../../lib/mailer/transport/smtp';
import { until } from '../../support/until';

/** A server that records each command, byte for byte. */
class BareServer {
  readonly commands: string[] = [];
  private readonly sockets = new Set<net.Socket>();

  private constructor(
    private readonly server: net.Server,
    private readonly extensions: readonly string[],
  ) {
    server.on('connection', (socket) => this.serve(socket));
  }

  static async start(...extensions: string[]): Promise<BareServer> {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new BareServer(server, extensions);
  }

  get url(): string {
    return `smtp://127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  get openConnections(): number {
    return this.sockets.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: net.Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
    let inData = false;
    socket.write('220 bare\r\n');
    readline.createInterface({ input: socket }).on('line', (line) => {
      if (inData) {
        if (line !== '.') return;
        inData = false;
        socket.write('250 taken\r\n');
        return;
      }
      this.commands.push(line);
      if (/^EHLO/i.test(line)) {
        const lines = ['bare', ...this.extensions];
        socket.write(lines.map((text, i) => `250${i === lines.length - 1 ? ' ' : '-'}${text}\r\n`).join(''));
      } else if (line === 'DATA') {
        inData = true;
        socket.write('354 go on\r\n');
      } else if (line === 'QUIT') socket.end('221 bye\r\n');
      else socket.write('250 ok\r\n');
    });
  }
}

const message = (...to: string[]) => ({
  messageId: '<job-1.abc.1@shop.example>',
  date: new Date('2026-11-25T01:02:03Z'),
  from: { name: '', address: 'hello@shop.example' },
  to: to.map((address) => ({ name: '', address })),
  cc: [],
  bcc: [],
  replyTo: [],
  subject: 'Hello',
  text: 'Hi\n',
  headers: {},
});

describe('an address that is not ASCII', () => {
  let server: BareServer;
  let transport: SmtpTransport;
  const start = async (...extensions: string[]) => {
    server = await BareServer.start(...extensions);
    transport = new SmtpTransport(server.url);
  };
  afterEach(async () => {
    await transport.close({ force: true });
    await server.stop();
  });
  const envelope = () => server.commands.filter((line) => /^(MAIL|RCPT)/.test(line));

  it('before the @ fails the mail for good if the server does not offer SMTPUTF8, before anything is sent', async () => {
    await start('8BITMIME');
    const sent = transport.send(message('ada@example.com', 'jörg@example.com'));
    await assert.rejects(sent, (error) => {
      assert.ok(error instanceof PermanentDeliveryError);
      assert.match(error.message, /553 5\.6\.7 .*does not offer SMTPUTF8.*jörg@example\.com/);
      return true;
    });
    assert.deepEqual(envelope(), []);
    await until('no connection is left', () => server.openConnections === 0);
  });

  it('before the @ is sent unchanged to a server that offers SMTPUTF8', async () => {
    await start('8BITMIME', 'SMTPUTF8');
    await transport.send(message('jörg@example.com'));
    const [from = '', to] = envelope();
    assert.match(from, /^MAIL FROM:<hello@shop\.example> SMTPUTF8\b/);
    assert.equal(to, 'RCPT TO:<jörg@example.com>');
  });

  it('after the @ is sent as punycode to any server', async () => {
    await start();
    await transport.send(message('ada@bücher.example'));
    assert.equal(envelope()[1], 'RCPT TO:<ada@xn--bcher-kva.example>');
  });
});
