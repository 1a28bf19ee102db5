import { clientNetwork, type RateLimit, type RouteEnvironment } from '../../index';

/** Each sign-up sends a mail to whom the caller names: without a limit anybody could have us write to anybody. */
export class SignUpLimits {
  private readonly perAddress: RateLimit;
  private readonly perMailbox: RateLimit;
  private readonly perDomain: RateLimit;

  constructor({ config: { signUps }, limit }: Pick<RouteEnvironment, 'config' | 'limit'>) {
    this.perAddress = limit('sign-ups-by-address', signUps.perAddress);
    this.perMailbox = limit('sign-ups-by-mailbox', signUps.perMailbox);
    this.perDomain = limit('sign-ups-by-domain', signUps.perDomain);
  }

  /** Counts one sign-up. @returns 0 when it may be done, else the seconds until it may. */
  async take(ip: string, email: string): Promise<number> {
    // One after the other: who is refused for the address uses up nothing of what others with that domain have.
    return (
      (await this.perAddress.take(clientNetwork(ip))) ||
      (await this.perMailbox.take(mailboxOf(email))) ||
      (await this.perDomain.take(domainOf(email)))
    );
  }

  /** It failed through no fault of the caller's. */
  async giveBack(ip: string, email: string): Promise<void> {
    await Promise.all([
      this.perAddress.giveBack(clientNetwork(ip)),
      this.perMailbox.giveBack(mailboxOf(email)),
      this.perDomain.giveBack(domainOf(email)),
    ]);
  }
}

/** `ada+news@example.com` is in the hands of `ada@example.com`. */
function mailboxOf(email: string): string {
  return email.toLowerCase().replace(/(?<=.)\+[^@]*@/, '@');
}

function domainOf(email: string): string {
  return email.slice(email.lastIndexOf('@') + 1).toLowerCase();
}
