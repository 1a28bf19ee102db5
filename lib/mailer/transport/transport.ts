import type { Mailbox } from '../address';

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
}

export interface Receipt {
  readonly messageId: string;
  /** What the server answered, or where the mail lies. */
  readonly response?: string;
  /** Recipients that the server refused while it took others; trying again would send twice to those it took. */
  readonly refused?: readonly { readonly address: string; readonly answer: string }[];
}

export interface Transport {
  readonly name: string;
  /** @throws PermanentDeliveryError when it is no use to try again; any other error may pass. */
  send(message: OutgoingMessage): Promise<Receipt>;
  /** Idempotent. `force` also cuts off mails that are on their way. */
  close(options?: { readonly force: boolean }): Promise<void>;
}
