import type { OutgoingMessage, Receipt } from './mail-types';

/**
 * A way to send mails. An app has its own under a name in `deliveryMethods` of its mail setup, and MAIL_DELIVERY chooses one.
 */
export interface DeliveryMethod {
  /** Its name in the log, such as `smtp`. */
  readonly name: string;
  /**
   * Sends one mail, and resolves once somebody else is responsible for it. If that cannot be recorded, the mail comes again, with
   * the same `messageId`: pass that on as a key where the receiving side knows such keys.
   * @throws PermanentDeliveryError when no retry would help: the job is dead. RateLimited when the server asks to wait: the job
   * runs again after that time. After any other error the job is retried. The text in an error's `response` is kept as the
   * server's answer.
   */
  send(message: OutgoingMessage): Promise<Receipt>;
  /** Throws if no mail could be sent now, and sends none. `catamount doctor` calls it. Default: nothing is known. */
  verify?(): Promise<void>;
  /** Called when the process stops. `force`: mails in flight are to be cut off, too; their jobs send them again. */
  close?(options?: { readonly force: boolean }): Promise<void>;
}
