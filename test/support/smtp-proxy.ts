import type net from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { TcpProxy } from './tcp-proxy';

/** A step of an SMTP conversation. `message` is the content after DATA, up to its reply. */
export type SmtpStep = 'greeting' | 'EHLO' | 'MAIL' | 'RCPT' | 'DATA' | 'message';

export type SmtpFault =
  /** The client gets this reply, and the server never sees the command. */
  | { readonly answer: `${number} ${string}` }
  /** The connection breaks when the server has received half of the bytes. */
  | 'drop'
  /** The server accepts the command, but the connection breaks before its reply arrives. */
  | 'lose the answer'
  | { readonly delayMs: number };

interface Planned {
  readonly step: SmtpStep;
  readonly fault: SmtpFault;
}

/** A proxy between a client and a real SMTP server that injects each planned fault once. */
export class SmtpProxy {
  private constructor(
    readonly plan: Planned[],
    readonly network: TcpProxy,
  ) {}

  /** @param url of the server. */
  static async start(url: string): Promise<SmtpProxy> {
    const plan: Planned[] = [];
    const carry = (client: net.Socket, server: net.Socket) => void new Conversation(plan, client, server);
    return new SmtpProxy(plan, await TcpProxy.start(url, { carry }));
  }

  get url(): string {
    return this.network.url;
  }
}

/** One connection. Commands are handled one at a time, since a client may pipeline several. */
class Conversation {
  private said = '';
  private answered = '';
  private listening: () => void = () => undefined;
  private work: Promise<void>;
  private inMessage = false;
  private readonly gone = new AbortController();

  constructor(
    private readonly plan: Planned[],
    private readonly client: net.Socket,
    private readonly server: net.Socket,
  ) {
    client.setEncoding('latin1').on('close', () => {
      server.destroy();
      this.gone.abort();
    });
    server.setEncoding('latin1').on('close', () => {
      this.client.destroy();
      this.listening();
    });
    server.on('data', (data) => {
      this.answered += String(data);
      this.listening();
    });
    this.work = this.step('greeting', '');
    client.on('data', (data) => {
      this.said += String(data);
      this.work = this.work.then(() => this.go());
    });
  }

  private async go(): Promise<void> {
    while (!this.client.destroyed) {
      const end = this.inMessage ? '\r\n.\r\n' : '\r\n';
      const at = this.said.indexOf(end);
      if (at < 0) return;
      const words = this.said.slice(0, at + end.length);
      this.said = this.said.slice(at + end.length);
      await this.step(this.inMessage ? 'message' : words.slice(0, 4).toUpperCase(), words);
    }
  }

  private async step(step: string, words: string): Promise<void> {
    const index = this.plan.findIndex((planned) => planned.step === step);
    const fault = index < 0 ? undefined : this.plan.splice(index, 1)[0]?.fault;
    const isMessage = this.inMessage;
    this.inMessage = step === 'DATA';
    if (fault === 'drop') {
      this.server.write(words.slice(0, words.length / 2), 'latin1', () => this.cut());
      return;
    }
    if (typeof fault === 'object' && 'answer' in fault) {
      this.inMessage = false;
      // The server has already accepted DATA and must not keep a partial message.
      if (isMessage) this.server.destroy();
      this.client.write(`${fault.answer}\r\n`);
      // A server closes the connection after 421 (RFC 5321, section 3.8).
      if (isMessage || fault.answer.startsWith('421')) this.client.end();
      return;
    }
    if (typeof fault === 'object')
      await wait(fault.delayMs, undefined, { signal: this.gone.signal }).catch(() => undefined);
    this.server.write(words, 'latin1');
    const answer = await this.nextAnswer();
    if (fault === 'lose the answer') this.cut();
    else if (!this.client.destroyed) this.client.write(answer, 'latin1');
  }

  /** @returns the server's next complete reply, which may have several lines; the last has a space after its code. */
  private async nextAnswer(): Promise<string> {
    for (;;) {
      const whole = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.answered)?.[0];
      if (whole !== undefined || this.server.destroyed) {
        this.answered = this.answered.slice(whole?.length);
        return whole ?? '';
      }
      await new Promise<void>((resolve) => {
        this.listening = resolve;
      });
    }
  }

  private cut(): void {
    this.client.destroy();
    this.server.destroy();
  }
}
