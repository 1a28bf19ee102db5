import { STATUS_CODES } from 'node:http';
import type { Locale } from '../core/config';
import type { ShedReason } from '../core/request-counts';

/** The context of a route: Koa's context with our additions. */
declare module 'koa' {
  interface DefaultContext {
    /** The caller's X-Request-Id when well-formed, else a new one. */
    requestId: string;
    /** The locale of the app that suits the caller's Accept-Language best, else the default one. */
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
    /** The bytes of a JSON body as they came, for the signature of a webhook; undefined where `bodyParser` left it alone. */
    rawBody?: Buffer;
  }
}

/** An error in one part of the request; `pointer` is a JSON pointer into its body. */
export interface ProblemPart {
  /** Place in the request's body, such as `/email`. */
  readonly pointer: string;
  /** Tells the caller what is wrong there. */
  readonly detail: string;
}

/** The members of the problem document besides its status. */
export interface ProblemOptions {
  /** A URI that names the kind of problem. Default `about:blank`, which adds nothing to the status. */
  readonly type?: string;
  /** Default: the reason phrase of the status. */
  readonly title?: string;
  /** Explains this occurrence to the caller, and what to do. */
  readonly detail?: string;
  /** The wrong parts of the request, for forms that mark them. */
  readonly errors?: readonly ProblemPart[];
  /** Headers of the response, such as `Retry-After`. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Further members of the problem document. */
  readonly extensions?: Readonly<Record<string, unknown>>;
}

/** Thrown by a route to answer with an RFC 9457 problem. Everything in it is shown to the caller. */
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
   * @param requestId undefined: the request was refused before it had one.
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
