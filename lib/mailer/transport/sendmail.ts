import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { toError } from '../../support/to-error';
import type { DeliveryMethod } from '../definition/delivery-method';
import { InvalidMailError, PermanentDeliveryError } from '../definition/errors';
import type { OutgoingMessage, Receipt } from '../definition/mail-types';
import { ascii, envelope } from './api-fields';
import { LimitedSends } from './limited-sends';
import { composeMime } from './mime';

const PATH = '/usr/sbin/sendmail';
/** Exit codes (sysexits.h) about the mail: malformed, no such user, no such host. */
const ABOUT_THE_MAIL = [65, 67, 68];

/** Hands mails to the command `sendmail`, which Postfix, Exim and others have, and which queues them. */
export class SendmailTransport implements DeliveryMethod {
  readonly name = 'sendmail';
  private readonly sends: LimitedSends;

  /** @param path of the command. Default: /usr/sbin/sendmail. @param sendMs how long it may take, ms. Default 20,000. */
  constructor(
    private readonly path = PATH,
    sendMs?: number,
  ) {
    this.sends = new LimitedSends('sendmail', sendMs);
  }

  async send(message: OutgoingMessage): Promise<Receipt> {
    const addresses = [ascii(message.from.address), ...envelope(message)];
    const option = addresses.find((address) => address.startsWith('-'));
    if (option !== undefined) throw new InvalidMailError(`sendmail would take ${option} for an option`);
    // No header names those in Bcc, since not every sendmail removes it.
    const mime = await composeMime({ ...message, bcc: [] }, 'unix');
    await this.sends.run((signal) => this.hand(mime, ['-i', '-f', ...addresses], signal));
    return { messageId: message.messageId, response: 'queued' };
  }

  /** Runs the command, in a group of its own, so that what it has started is killed with it. */
  private async hand(mime: Buffer, words: readonly string[], signal: AbortSignal): Promise<void> {
    const sendmail = spawn(this.path, words, { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    signal.addEventListener('abort', () => killGroup(sendmail));
    const unread = pipeline([mime], sendmail.stdin, { signal }).then(() => undefined, toError);
    const [code, endedBy] = (await once(sendmail, 'exit', { signal })) as [number | null, NodeJS.Signals | null];
    if (code === null) throw new Error(`sendmail was ended by ${endedBy}`);
    const said = `sendmail exited with code ${code}`;
    if (ABOUT_THE_MAIL.includes(code)) throw new PermanentDeliveryError(said, code);
    if (code !== 0) throw new Error(said);
    const error = await unread;
    if (error) throw error;
  }

  async verify(): Promise<void> {
    await fs.access(this.path, fs.constants.X_OK);
  }

  async close({ force } = { force: false }): Promise<void> {
    if (force) this.sends.cutOff();
  }
}

function killGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended this very moment.
  }
}
