import { STATUS_CODES } from 'node:http';
import type { Locale } from '../core/config';
import type { ShedReason } from '../core/request-counts';

/** The context of a route: Koa's context with our additions. */
declare module 'koa' {
  interface DefaultContext {
    /** The client's X-Request-Id if it is well-formed, else a new one. */
    requestId: string;
    /** The locale of the app that matches the client's Accept-Language best, else the default one. */
    locale: Locale;
    /** Time spent waiting for a slot, ms. */
    queuedMs: number;
    /** The request's statements so far: their number, and the sum of their times, ms. */
    sql: { readonly count: number; readonly ms: number };
    /** true if the headers say that the request came through a proxy, trusted or not. */
    forwarded: boolean;
    /** true for requests that Catamount answers itself: health checks and operators' pages. */
    internal: boolean;
    /** Why the request was shed before it reached the app, else null. */
    shedReason: ShedReason | null;
    /**
     * Addresses of the operators' pages that this client may open: the tree, and the inbox of mails that are stored
     * instead of sent. undefined if it may open none.
     */
    ops: { readonly tree: string; readonly inbox: string | null } | undefined;
    /** Aborted when the process is about to stop or to be replaced, so that an endless stream can end. */
    readonly goodbye: AbortSignal;
    /** Releases the slot before the response ends, for streams and long polls that mostly wait. */
    releaseSlot(): void;
  }

  interface Request {
    /** The parsed JSON body; undefined if there is none, or if it is of another type (then `req` is unread). */
    body?: unknown;
    /** The bytes of a JSON body as received, for a webhook's signature; undefined where `bodyParser` applies. */
    rawBody?: Buffer;
  }
}

/** An error in one part of the request. */
export interface ProblemPart {
  /** JSON pointer into the request's body, such as `/email`. */
  readonly pointer: string;
  /** Explains to the client what is wrong there. */
  readonly detail: string;
}

/** The members of the problem document besides its status. */
export interface ProblemOptions {
  /** A URI that names the kind of problem. Default `about:blank`, which adds nothing to the status. */
  readonly type?: string;
  /** Default: the reason phrase of the status. */
  readonly title?: string;
  /** Explains this occurrence to the client, and what to do about it. */
  readonly detail?: string;
  /** The wrong parts of the request, for forms that mark them. */
  readonly errors?: readonly ProblemPart[];
  /** Headers of the response, such as `Retry-After`. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Further members of the problem document. */
  readonly extensions?: Readonly<Record<string, unknown>>;
}

/** Thrown by a route to respond with an RFC 9457 problem. Everything in it is sent to the client. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';

  constructor(
    /** The HTTP status of the response, 400 to 599. */
    readonly status: number,
    /** Further members of the problem document, and headers. */
    readonly options: ProblemOptions = {},
  ) {
    super(options.detail ?? options.title ?? STATUS_CODES[status] ?? `HTTP ${status}`);
  }

  /**
   * @param requestId undefined if the request was rejected before it had one.
   * @internal
   */
  toDocument(requestId: string | undefined): Record<string, unknown> {
    const { type = 'about:blank', title, detail, errors, extensions } = this.options;
    return {
      ...extensions,
      type,
      title: title ?? STATUS_CODES[this.status] ?? 'Error',
      status: this.status,
      ...(detail === undefined ? {} : { detail }),
      ...(errors === undefined ? {} : { errors }),
      requestId,
    };
  }
}
