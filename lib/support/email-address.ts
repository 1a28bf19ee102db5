import { domainToASCII } from 'node:url';

const MAX_LOCAL_LENGTH = 64;
const MAX_DOMAIN_LENGTH = 253;
/** A dot-atom in ASCII: few mail servers take any other, and no second address can be smuggled in. */
const LOCAL = /^[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
/** A domain may have one label, as in `root@localhost`. The last label must not be a number. */
const DOMAIN = new RegExp(String.raw`^(?=.{1,${MAX_DOMAIN_LENGTH}}$)(${LABEL}\.)*(?!\d+$)${LABEL}$`, 'i');

/** @returns true for an address that every mail server accepts: a dot-atom of at most 64 characters at a domain name. */
export function isAddress(address: string): boolean {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, Math.max(at, 0));
  if (local.length > MAX_LOCAL_LENGTH || !LOCAL.test(local)) return false;
  return isDomain(address.slice(at + 1));
}

/** @returns true for a domain that mail can be sent to: a name, not a number. */
export function isDomain(domain: string): boolean {
  return DOMAIN.test(toAscii(domain));
}

/** @returns a key that is equal for all spellings of an address: case and script of the domain do not matter. */
export function addressKey(address: string): string {
  return address.slice(0, address.lastIndexOf('@') + 1) + readDomain(address).toLowerCase();
}

/** @returns the domain in ASCII, or as it is when it has no such form. */
export function readDomain(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  return toAscii(domain) || domain;
}

/** @returns '' for an invalid name. `domainToASCII` alone would also accept ports, escapes and numbers. */
function toAscii(domain: string): string {
  // Converting a long text would take time in proportion to the square of its length.
  if (domain.length > MAX_DOMAIN_LENGTH) return '';
  if (/^[a-z0-9.-]*$/i.test(domain)) return domain;
  return /^[\p{L}\p{N}\p{M}.-]+$/u.test(domain) ? domainToASCII(domain) : '';
}
