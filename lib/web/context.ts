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
    /** Aborted when the process is about to stop or to be replaced: a stream that could go on for ever ends by it. */
    readonly goodbye: AbortSignal;
    /** Releases the slot before the response ends, for streams and long polls that mostly wait. */
    releaseSlot(): void;
  }

  interface Request {
    /** The parsed JSON body; undefined if there is none, or if it is of another type (then `req` is unread). */
    body?: unknown;
    /** The bytes of a JSON body as they came, for the signature of a webhook. */
    rawBody?: Buffer;
  }
}
