import { STATUS_CODES } from 'node:http';

/** An error in one part of the request; `pointer` is a JSON pointer into its body. */
interface ProblemPart {
  readonly pointer: string;
  readonly detail: string;
}

interface ProblemOptions {
  /** A URI that names the kind of problem. Default `about:blank`, which adds nothing to the status. */
  readonly type?: string;
  /** Default: the reason phrase of the status. */
  readonly title?: string;
  /** Explains this occurrence to the caller, and what to do. */
  readonly detail?: string;
  readonly errors?: readonly ProblemPart[];
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Further members of the problem document. */
  readonly extensions?: Readonly<Record<string, unknown>>;
}

/** Thrown by a route to answer with an RFC 9457 problem. Everything in it is shown to the caller. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';

  constructor(
    readonly status: number,
    readonly options: ProblemOptions = {},
  ) {
    super(options.detail ?? options.title ?? STATUS_CODES[status] ?? `HTTP ${status}`);
  }

  /** - */
  toDocument(requestId: string): Record<string, unknown> {
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
