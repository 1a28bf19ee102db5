import net from 'node:net';
import type { Locale } from '../core/config';
import type { ShedReason } from '../core/request-counts';

declare module 'koa' {
  interface DefaultContext {
    /** The caller's X-Request-Id when well-formed, else a new one. */
    requestId: string;
    /** The shipped locale that suits the caller's Accept-Language best, else the default one. */
    locale: Locale;
    /** Time spent waiting for a slot, ms. */
    queuedMs: number;
    /** true if the request came through a proxy, trusted or not, by its headers. */
    forwarded: boolean;
    /** true for requests that the app does not see: health checks and operators' pages. */
    internal: boolean;
    /** The reason why the request was shed before the app saw it, else null. */
    shedReason: ShedReason | null;
    /**
     * Addresses of the operators' pages that this caller can open: the tree, and the inbox of mails that are kept
     * instead of sent. undefined if the caller can open none.
     */
    ops: { readonly tree: string; readonly inbox: string | null } | undefined;
    /** Releases the slot before the response ends, for streams and long polls that mostly wait. */
    releaseSlot(): void;
  }

  interface Request {
    /** The parsed JSON body; undefined if there is none, or if it is of another type (then `req` is unread). */
    body?: unknown;
  }
}

/** Whom an address stands for when calls are counted: one subscriber has a whole /64 of IPv6. */
export function clientNetwork(ip: string): string {
  const plain = ip.replace(/^::ffff:/i, '').replace(/%.*$/, '');
  if (!net.isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0');
  const groups = [...left, ...zeros, ...right].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
