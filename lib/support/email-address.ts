import { domainToASCII } from 'node:url';

/** Spaces, lists and quoting do not belong into one address, so none can be smuggled into it. */
const ATOM = String.raw`[^\s@<>(),;:"\\[\].\p{Cc}\p{Cs}]+`;
const LOCAL = new RegExp(String.raw`^${ATOM}(\.${ATOM})*$`, 'u');
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
/** One label is enough, for `root@localhost`; the last one is never a number. */
const DOMAIN = new RegExp(String.raw`^(?=.{1,253}$)(${LABEL}\.)*(?!\d+$)${LABEL}$`, 'i');
const LONGEST_LOCAL = 64;

/** Whether it is an address as mail servers take them: a dot-atom of at most 64 bytes at a domain name. */
export function isAddress(address: string): boolean {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, Math.max(at, 0));
  if (!LOCAL.test(local) || Buffer.byteLength(local) > LONGEST_LOCAL) return false;
  return isDomain(address.slice(at + 1));
}

/** Whether mail can be addressed to it: a name, not a number. */
export function isDomain(domain: string): boolean {
  return DOMAIN.test(asciiOf(domain));
}

/** The same for two ways to write one address: of the domain, the case and the script count for nothing. */
export function addressKey(address: string): string {
  return address.slice(0, address.lastIndexOf('@') + 1) + domainOf(address).toLowerCase();
}

/** The domain in ASCII, where it has such a form. */
export function domainOf(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  return asciiOf(domain) || domain;
}

/** Empty for what is no domain name. `domainToASCII` alone takes ports, escapes and numbers for one, too. */
function asciiOf(domain: string): string {
  if (/^[a-z0-9.-]*$/i.test(domain)) return domain;
  return /^[\p{L}\p{N}\p{M}.-]+$/u.test(domain) ? domainToASCII(domain) : '';
}
