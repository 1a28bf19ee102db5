import type { Config, MailDelivery as DeliveryMethod } from '../../core/config';
import type { Events } from '../../core/events';
import { InvalidMailError } from '../definition/errors';
import type { Transport } from '../transport/transport';

/** Number of mails that MAIL_DELIVERY=test keeps, since such a tree may run for long. */
const MAX_KEPT = 1000;

/** The transports of one process, each created when the first mail needs it. */
export class Transports {
  private readonly made = new Map<DeliveryMethod, Transport>();

  constructor(
    private readonly mail: Config['mail'],
    private readonly events: Events,
  ) {}

  /** @param method default: the one that MAIL_DELIVERY names. @throws InvalidMailError for `smtp` without SMTP_URL. */
  get(method: DeliveryMethod = this.mail.delivery): Transport {
    const existing = this.made.get(method);
    if (existing) return existing;
    const transport = this.make(method);
    this.made.set(method, transport);
    return transport;
  }

  async close(options: { readonly force: boolean }): Promise<void> {
    await Promise.all([...this.made.values()].map((transport) => transport.close(options)));
  }

  /** Each module is loaded on demand, since a process usually uses only one delivery method. */
  private make(method: DeliveryMethod): Transport {
    const { smtpUrl, dir } = this.mail;
    if (method === 'smtp') {
      if (smtpUrl === null)
        throw new InvalidMailError(
          "a mail requests delivery 'smtp', but SMTP_URL is not set: set it, or choose another method",
        );
      const { SmtpTransport } = require('../transport/smtp') as typeof import('../transport/smtp');
      return new SmtpTransport(smtpUrl);
    }
    const local = require('../transport/local-transports') as typeof import('../transport/local-transports');
    if (method === 'file') return new local.FileTransport(dir);
    if (method === 'log') return new local.LogTransport(this.events);
    if (method === 'test') return new local.TestTransport(MAX_KEPT);
    throw new InvalidMailError(
      `delivery: ${JSON.stringify(method satisfies never)} is not a delivery method; there are smtp, file, log and test`,
    );
  }
}
