import type Koa from 'koa';
import type helmet from 'koa-helmet';

export interface HttpServerOptions {
  /** A caller that takes no byte of a response for this long is cut off, ms. */
  readonly writeTimeoutMs: number;
  /** Time for a caller to send a request, body included, ms. */
  readonly requestTimeoutMs: number;
  /** Time for a caller to send the head of a request, ms. Default 15 s. */
  readonly headerTimeoutMs?: number;
}

/** A request, or the connection that one was upgraded to, which did not end in time. */
export interface AbortedRequest {
  readonly what: string;
  readonly id: string;
  readonly ageMs: number;
}

/** A service that the process cannot serve without. `check` rejects when it does not answer. */
export interface ReadinessCheck {
  readonly name: string;
  readonly check: () => Promise<unknown>;
}

/** A part that does not work, and advice for an operator where it does not recover by itself. */
export interface Degradation {
  readonly name: string;
  readonly advice?: string;
}

/** Paths of the two probes; false for one that the app answers itself. */
export interface Probes {
  /** The path that answers 200 while the process lives. Default `/health`. */
  readonly health?: string | false;
  /** The path that answers 503 while the process cannot serve. Default `/ready`. */
  readonly ready?: string | false;
}

export interface HealthOptions {
  readonly appName: string;
  readonly readiness: readonly ReadinessCheck[];
  /** The parts that do not work although the process can serve. Default: none. */
  readonly degraded?: () => readonly Degradation[] | Promise<readonly Degradation[]>;
  /** The health of the tree's jobs, with the age of the oldest one that is due, s; null: not known. Default: they run. */
  readonly jobs?: () => {
    readonly running: boolean;
    readonly stalled: string | null;
    readonly oldestDueS?: number | null;
  };
  /** Says why the process has never been ready yet, which is 503 as well. Default: no reason. */
  readonly unready?: (() => Promise<string | undefined>) | undefined;
  /** Paths of the two probes; false for one that the app answers itself. Default: `/health` and `/ready`. */
  readonly probes?: Probes | undefined;
  /** true once the process has been asked to stop. */
  readonly isLeaving: () => boolean;
}

/** The reader of a request's body: a middleware; false leaves the body to the route. */
export type BodyParser = false | Koa.Middleware;

/** Helmet's options, which replace ours one by one; false for no header. */
export type SecurityHeaders = Parameters<typeof helmet>[0] | false;
