import type { Locale } from '../core/config';
import type { ShedReason } from '../core/request-counts';

declare module 'koa' {
  interface DefaultContext {
    /** The caller's X-Request-Id when well-formed, else a new one. */
    requestId: string;
    /** The shipped locale that the caller's Accept-Language likes best, else the default one. */
    locale: Locale;
    /** Milliseconds spent waiting for a slot. */
    queuedMs: number;
    /** A proxy is on its way, trusted or not, as its headers tell. */
    forwarded: boolean;
    /** It is answered beside the app: a health check, an operator's page. */
    internal: boolean;
    /** Why it was turned away before the app saw it; null when it was not. */
    shedReason: ShedReason | null;
    /**
     * Addresses of the operator's pages that this caller can open: the tree, and the mails that are kept instead of sent.
     * undefined: none can be.
     */
    ops: { readonly tree: string; readonly inbox: string | null } | undefined;
    /** Gives the slot back before the response ends: for streams and long polls that mostly wait. */
    releaseSlot(): void;
  }

  interface Request {
    /** The parsed JSON body; undefined when there is none, or when it is of another type (then `req` is unread). */
    body?: unknown;
  }
}
