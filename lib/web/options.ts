import type Koa from 'koa';
import type helmet from 'koa-helmet';

export interface HttpServerOptions {
  /** Time after which a client that reads nothing of a pending response is cut off, ms (WRITE_TIMEOUT). */
  readonly writeTimeoutMs: number;
  /** Time for a client to send a request, body included, ms (REQUEST_TIMEOUT). */
  readonly requestTimeoutMs: number;
  /** Time for a client to send the headers of a request, ms (HEADER_TIMEOUT). Default 15 s. */
  readonly headerTimeoutMs?: number;
  /** Time after which a connection without a request is closed, ms (KEEP_ALIVE_TIMEOUT). Default 95 s. */
  readonly keepAliveTimeoutMs?: number;
  /** A connection is closed after so many requests (KEEP_ALIVE_REQUESTS). Default 0: it is not. */
  readonly keepAliveRequests?: number;
  /** true for a peer that may name the client by the PROXY protocol; '' is that of a Unix socket. Default: each peer may. */
  readonly trusts?: (peer: string) => boolean;
  /** Called when a connection is closed because of what it begins with. */
  readonly onRefused?: (reason: string, peer: string) => void;
}

/** A request, or an upgraded connection, that did not end in time. */
export interface AbortedRequest {
  readonly what: string;
  readonly id: string;
  readonly ageMs: number;
}

/** A service that the process needs. `check` rejects if it does not answer. */
export interface ReadinessCheck {
  readonly name: string;
  /** true: the process serves without it, so that it is degraded and not unready. Default false. */
  readonly isOptional?: boolean;
  readonly check: () => Promise<unknown>;
}

/** A part that does not work, with advice for an operator if it does not recover by itself. */
export interface Degradation {
  readonly name: string;
  readonly advice?: string;
}

/** Paths of the two probes; false for one that the app answers itself. */
export interface Probes {
  /** The path that answers 200 as long as the process is alive. Default `/health`. */
  readonly health?: string | false;
  /** The path that answers 200 if the process can serve, else 503. Default `/ready`. */
  readonly ready?: string | false;
}

export interface HealthOptions {
  readonly appName: string;
  readonly readiness: readonly ReadinessCheck[];
  /** The parts that do not work although the process can serve. Default: none. */
  readonly degraded?: () => readonly Degradation[] | Promise<readonly Degradation[]>;
  /** The state of the tree's jobs, and how long the oldest due one has waited, s; null: unknown. Default: they run. */
  readonly jobs?: () => {
    readonly running: boolean;
    readonly stalled: string | null;
    readonly oldestDueS?: number | null;
  };
  /** Says why the process may not become ready for the first time, which is also a 503. Default: no reason. */
  readonly unready?: (() => Promise<string | undefined>) | undefined;
  /** Paths of the two probes; false for one that the app answers itself. Default: `/health` and `/ready`. */
  readonly probes?: Probes | undefined;
  /** true once the process has been asked to stop. */
  readonly isLeaving: () => boolean;
}

/** A middleware that reads a request's body; false leaves the body to the route. */
export type BodyParser = false | Koa.Middleware;

/** Helmet's options, which replace ours one by one; false for no headers. */
export type SecurityHeaders = Parameters<typeof helmet>[0] | false;
