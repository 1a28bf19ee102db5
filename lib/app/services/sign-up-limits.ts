import { clientNetwork, type RateLimit, type RouteEnvironment } from '../../index';

/** Limits sign-ups, since each sends a mail to an address that the client chooses: anybody could flood a mailbox. */
export class SignUpLimits {
  private readonly perAddress: RateLimit;
  private readonly perMailbox: RateLimit;
  private readonly perDomain: RateLimit;

  constructor({ config: { signUps }, limit }: Pick<RouteEnvironment, 'config' | 'limit'>) {
    this.perAddress = limit('sign-ups-by-address', signUps.perAddress);
    this.perMailbox = limit('sign-ups-by-mailbox', signUps.perMailbox);
    this.perDomain = limit('sign-ups-by-domain', signUps.perDomain);
  }

  /** Counts one sign-up. @returns 0 if it is allowed, else the seconds until the next one is. */
  async take(ip: string, email: string): Promise<number> {
    // The limits are taken in turn: a client over its own limit must not use up that of a mailbox or domain.
    return (
      (await this.perAddress.take(clientNetwork(ip))) ||
      (await this.perMailbox.take(mailboxOf(email))) ||
      (await this.perDomain.take(domainOf(email)))
    );
  }

  /** Uncounts a sign-up that failed through no fault of the client. */
  async giveBack(ip: string, email: string): Promise<void> {
    await Promise.all([
      this.perAddress.giveBack(clientNetwork(ip)),
      this.perMailbox.giveBack(mailboxOf(email)),
      this.perDomain.giveBack(domainOf(email)),
    ]);
  }
}

/** `ada+news@example.com` belongs to the owner of `ada@example.com`. */
function mailboxOf(email: string): string {
  return email.toLowerCase().replace(/(?<=.)\+[^@]*@/, '@');
}

function domainOf(email: string): string {
  return email.slice(email.lastIndexOf('@') + 1).toLowerCase();
}
