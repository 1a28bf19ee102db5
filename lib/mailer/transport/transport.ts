import type { Mailbox } from '../address';
import type { MailAttachment } from '../attachment';

/** A finished mail, as every transport takes it. */
export interface OutgoingMessage {
  /** In angle brackets. The same for every try at the same mail, so that a duplicate can be recognised. */
  readonly messageId: string;
  readonly date: Date;
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly html?: string;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly attachments?: readonly MailAttachment[];
  /** Only these of its recipients get it, for the others have been answered before. Default: all. */
  readonly envelopeTo?: readonly string[];
}

/** A recipient that the server refused. */
export interface Refusal {
  readonly address: string;
  /** What the server said, such as `550 5.1.1 no such user`. */
  readonly answer: string;
  /** false: it may take the mail at the next try (4xx). Default true. */
  readonly permanent?: boolean;
}

export interface Receipt {
  readonly messageId: string;
  /** What the server answered, or where the mail lies. */
  readonly response?: string;
  /** Recipients that the server refused while it took the mail for others. */
  readonly refused?: readonly Refusal[];
}

export interface Transport {
  readonly name: string;
  /** @throws PermanentDeliveryError when it is no use to try again; any other error may pass. */
  send(message: OutgoingMessage): Promise<Receipt>;
  /** Idempotent. `force` also cuts off mails that are on their way. */
  close(options?: { readonly force: boolean }): Promise<void>;
}
