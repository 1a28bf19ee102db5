import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { DeliveryMethod } from '../mail';
import { createMailTransport } from './create';
import type { Transport } from './transport';

/** The transports of one process, each made when the first mail asks for it. */
export class Transports {
  private readonly made = new Map<DeliveryMethod, Transport>();

  constructor(
    private readonly mail: Config['mail'],
    private readonly events: Events,
  ) {}

  /** @param method default: what MAIL_DELIVERY names. @throws InvalidMailError for `smtp` where no SMTP_URL is set. */
  get(method: DeliveryMethod = this.mail.delivery): Transport {
    const known = this.made.get(method);
    if (known) return known;
    const transport = createMailTransport({ ...this.mail, delivery: method }, this.events);
    this.made.set(method, transport);
    return transport;
  }

  async close(options: { readonly force: boolean }): Promise<void> {
    await Promise.all([...this.made.values()].map((transport) => transport.close(options)));
  }
}
