import type { SignUpsConfig } from '../core/config';
import { clientNetwork } from '../support/client-network';
import type { Rate } from '../support/duration';
import { isAddress } from '../support/email-address';
import type { RateLimit } from './rate-limit';

// What strangers enter where a mail follows is checked in time that is proportional to its length.

/** An e-mail address that a mail can be sent to. */
export interface EmailAddress {
  /** As it was entered, without surrounding white space. */
  readonly address: string;
  /** Equal for all addresses of one mailbox: in lower case, without a + tag; for Gmail without dots, at gmail.com. */
  readonly mailbox: string;
  /** The domain of the mailbox, in lower case. */
  readonly domain: string;
}

/** Characters, as SMTP allows (RFC 5321, 4.5.3.1.3). */
const MAX_EMAIL_LENGTH = 254;
/** Says what `parseEmail` accepts, for the `detail` of a problem. */
export const EMAIL_RULE = `must be an e-mail address such as name@example.com, in ASCII, of at most ${MAX_EMAIL_LENGTH} characters`;

/**
 * Accepts what every mail server accepts: a dot-atom of at most 64 characters at a domain name of several labels.
 * @returns undefined for anything else.
 */
export function parseEmail(value: unknown): EmailAddress | undefined {
  if (typeof value !== 'string') return undefined;
  const address = value.trim();
  // The length comes first, so that the patterns read no more than that.
  if (address.length > MAX_EMAIL_LENGTH || !/^[!-~]+@[!-~]+\.[!-~]+$/.test(address) || !isAddress(address))
    return undefined;
  const [local = '', domain = ''] = address.toLowerCase().split('@');
  const untagged = local.replace(/(?<=.)\+.*$/, '');
  if (domain !== 'gmail.com' && domain !== 'googlemail.com')
    return { address, mailbox: `${untagged}@${domain}`, domain };
  return { address, mailbox: `${untagged.replaceAll('.', '')}@gmail.com`, domain: 'gmail.com' };
}

/** Characters. It is short, so that strangers cannot put advertisements into a mail. */
const MAX_NAME_LENGTH = 80;
/** Says what `parseDisplayName` accepts, for the `detail` of a problem. */
export const DISPLAY_NAME_RULE = `must be a name of 1 to ${MAX_NAME_LENGTH} characters on one line, without control characters and without a web address, mail address or IP address; put a space after a dot`;

/** Control characters, lone surrogates, line separators, and marks that change the direction of text. */
const UNFIT = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_C}]/u;
/** Initials and titles before a name without a space, such as J.R.R.Tolkien and St.John. */
const ABBREVIATIONS = /(?<!\S)(?:(?:\p{L}|Dr|Ma|Md|Mr|Mrs|Ms|St)\.)+(?=\p{Lu}[^\s.:/?#@]*\.?(?!\S))/gu;
/** Text that mail programs turn into a link: a dot before two letters may be that of a host name. */
const LINK = /:\/\/|\bwww\.|\S@\S|[^\s.]\.\p{L}[\p{L}\p{M}]|\d\.\d+\.\d+\.\d|:[\da-f]{0,4}:/iu;

/**
 * Accepts the names of people in any script, but no text that would be a link in the mail.
 * @returns the name without surrounding white space; undefined for anything else.
 */
export function parseDisplayName(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const name = value.trim();
  if (name.length > 2 * MAX_NAME_LENGTH || [...name].length > MAX_NAME_LENGTH || UNFIT.test(name)) return undefined;
  // Links are recognised in full-width characters, too, and browsers read the ideographic full stop as a dot.
  const plain = name
    .normalize('NFKC')
    .replace(/\p{DI}/gu, '')
    .replaceAll('\u3002', '.')
    .replace(ABBREVIATIONS, '');
  return plain.trim() === '' || LINK.test(plain) ? undefined : name;
}

/**
 * Limits sign-ups. Each sends a mail to an address that the client chooses, so anybody could flood a mailbox. They are counted
 * by the client's network, by mailbox and by mail domain. SIGN_UPS_PER_ADDRESS, SIGN_UPS_PER_MAILBOX and SIGN_UPS_PER_DOMAIN
 * say how many are allowed.
 */
export class SignUpLimits {
  private readonly perAddress: RateLimit;
  private readonly perMailbox: RateLimit;
  private readonly perDomain: RateLimit;

  /** @param environment as routes receive it. */
  constructor(environment: {
    readonly config: { readonly signUps: SignUpsConfig };
    readonly limit: (name: string, rate: Rate | null) => RateLimit;
  }) {
    const { config, limit } = environment;
    this.perAddress = limit('sign-ups-by-address', config.signUps.perAddress);
    this.perMailbox = limit('sign-ups-by-mailbox', config.signUps.perMailbox);
    this.perDomain = limit('sign-ups-by-domain', config.signUps.perDomain);
  }

  /** Counts one sign-up from the client's IP address. @returns 0 if it is allowed, else the seconds until the next one is. */
  async take(ip: string, { mailbox, domain }: EmailAddress): Promise<number> {
    // The client's own limit comes first: over it, nothing may be used up of a mailbox or domain.
    return this.perAddress.take(clientNetwork(ip), [this.perMailbox, mailbox], [this.perDomain, domain]);
  }

  /** Uncounts a sign-up that failed through no fault of the client. */
  async giveBack(ip: string, { mailbox, domain }: EmailAddress): Promise<void> {
    await Promise.all([
      this.perAddress.giveBack(clientNetwork(ip)),
      this.perMailbox.giveBack(mailbox),
      this.perDomain.giveBack(domain),
    ]);
  }
}
