import type { Rate } from '../support/duration';

/** One queue of JOB_QUEUES. */
export interface QueueSetting {
  /** The name by which a class's `static queue` and the option `queue` choose it. */
  readonly name: string;
  /** 1 unless the queues are weighted. */
  readonly weight: number;
}

/** A place where the tree listens for HTTP. */
export type ListenAddress = TcpAddress | SocketPath;

/** How a place is listened on. */
export interface ListenOptions {
  /** How many connections may wait to be accepted, if the system allows as many. Default 511. */
  readonly backlog?: number;
  /** true: clients speak TLS, and see the certificate of TLS_CERT. Default false. */
  readonly tls?: boolean;
  /** true: each connection begins with a header of the PROXY protocol, which names the client. Default false. */
  readonly proxyProtocol?: boolean;
}

/** An address of the network. */
export interface TcpAddress extends ListenOptions {
  /** Tells the two kinds of ListenAddress apart. */
  readonly kind: 'tcp';
  /** An IP address or a name, such as `0.0.0.0` for all of IPv4. */
  readonly host: string;
  /** The port; 0: one that is free. */
  readonly port: number;
}

/** A Unix socket. */
export interface SocketPath extends ListenOptions {
  /** Tells the two kinds of ListenAddress apart. */
  readonly kind: 'unix';
  /** The file of the socket. */
  readonly path: string;
  /** Its mode, such as 0o660; null: by the umask. */
  readonly mode: number | null;
}

/** A listening socket that this process was started with: by systemd, or by the primary that it follows. */
export interface InheritedSocket extends ListenOptions {
  readonly kind: 'inherited';
  /** Number of its file descriptor. */
  readonly fd: number;
  /** Its name among LISTEN_FDNAMES, or its address. */
  readonly name: string;
  /** The file of a Unix socket that this tree has made; otherwise null. */
  readonly path: string | null;
}

/**
 * A way to deliver mails. smtp: to the server of SMTP_URL. sendmail: to the command of that name. resend, postmark, ses,
 * mailgun: to the API of that provider. file: as `.eml` files into a folder. log: as a line of the log. test: nowhere; they are
 * kept for the assertions of a test. Any other: the app's own method of that name.
 */
export type MailDelivery = 'smtp' | 'sendmail' | MailProvider | 'file' | 'log' | 'test' | (string & {});

/** A provider whose HTTPS API sends mails. */
export type MailProvider = 'resend' | 'postmark' | 'ses' | 'mailgun';

/** A language tag (BCP 47) in its canonical form, such as `de` or `pt-BR`. */
export type Locale = string;

/** The locales that Catamount itself has texts in. */
export type ShippedLocale = 'en' | 'ko';

/** The proxies whose headers about a request's client, scheme and age are trusted: a number of hops, or addresses. */
export type TrustedProxies =
  | {
      /** Number of proxies in front of the tree; 0: none is trusted. */
      readonly hops: number;
    }
  | {
      /** Addresses and networks of the proxies, such as `10.0.0.0/8`. */
      readonly addresses: readonly string[];
    };

/** Maximum heap sizes, MB. */
export interface HeapCaps {
  /** Of each web worker. */
  readonly workerMb: number;
  /** Of the job processor. */
  readonly jobsMb: number;
}

/** Web workers and the limits of their requests. */
export interface WebConfig {
  /** false: the tree serves no web, as with `--only jobs`. */
  readonly enabled: boolean;
  /** Number of workers; 1 with WEB_CONCURRENCY=0. */
  readonly concurrency: number;
  /** true: that one runs in the primary's process, by WEB_CONCURRENCY=0. Default false. */
  readonly inline?: boolean;
  /** The calculation of that number for `auto`; null when it was given. */
  readonly sizing: string | null;
  /** Maximum number of requests in flight per worker. */
  readonly maxThreads: number;
  /** Maximum number of waiting requests per worker. */
  readonly backlog: number;
  /** A request that has waited for this long is answered with 503. */
  readonly queueTimeoutMs: number;
  /** Maximum size of a body that we read, bytes. */
  readonly bodyLimitBytes: number;
  /** A client has this long to send the headers of a request; never longer than `requestTimeoutMs`. */
  readonly headerTimeoutMs: number;
  /** A connection without a request is closed after this time. */
  readonly keepAliveTimeoutMs: number;
  /** A connection is closed after so many requests. Default 0: it is not. */
  readonly keepAliveRequests?: number;
  /** A client has this long to send a request, body included. */
  readonly requestTimeoutMs: number;
  /** A client that accepts no byte of a pending response for this long is disconnected. */
  readonly writeTimeoutMs: number;
  /** A process whose event loop has been blocked for this long is killed and restarted. */
  readonly workerTimeoutMs: number;
  /** Which worker is removed when the tree is to have one fewer, by its start. Default `youngest`. */
  readonly cullingStrategy?: 'youngest' | 'oldest';
  /** A worker that is not ready after this time is killed and restarted. */
  readonly bootTimeoutMs: number;
}

/** One key of JOB_ENCRYPTION_KEYS. */
export interface EncryptionKey {
  /** The name that what it has encrypted carries. */
  readonly id: string;
  /** 32 bytes, in base64. */
  readonly key: string;
}

/** The job processor and its queues. */
export interface JobsConfig {
  /** false: the tree runs no jobs, as with JOB_PROCESSOR=0 or `--only web`; it enqueues them all the same. */
  readonly enabled: boolean;
  /** true: the primary's process runs them, by JOB_PROCESSOR=inline. Default false. */
  readonly inline?: boolean;
  /** Maximum number of running jobs, over all queues. */
  readonly concurrency: number;
  /** Maximum number of threads for jobs of classes with `thread`. Default 0. */
  readonly threads?: number;
  /** The queues that the processor serves, in the order of JOB_QUEUES. */
  readonly queues: readonly QueueSetting[];
  /** false: strict order, the first queue always goes first. */
  readonly weighted: boolean;
  /** Latency of a queue above which a warning is logged, ms. 0: never. */
  readonly latencyWarningMs: number;
  /** The keys for arguments: the first encrypts, all decrypt. Default: none. */
  readonly encryptionKeys?: readonly EncryptionKey[];
  /** true: the log names each enqueue, and the place in the app that made it. Default false. */
  readonly logEnqueues?: boolean;
}

/** The delivery of mails. */
export interface MailConfig {
  /** The method for every mail that names none itself. */
  readonly delivery: MailDelivery;
  /** The server that `smtp` delivery sends to, with its credentials; null: there is none. */
  readonly smtpUrl: string | null;
  /** The sender of mails that set none, as MAIL_FROM gives it. */
  readonly from: string;
  /** The folder that `file` delivery writes to. */
  readonly dir: string;
  /** The settings of providers that are set, by the names of their variables, such as RESEND_API_KEY. */
  readonly keys?: Readonly<Record<string, string | undefined>>;
  /** Another address of the provider's API, as MAIL_API_URL gives it; null: its usual one. */
  readonly apiUrl?: string | null;
}

/** Rate limits of sign-ups; null: no limit. */
export interface SignUpsConfig {
  /** From one address of the network; all of one IPv6 /64 count as one. */
  readonly perAddress: Rate | null;
  /** For mail addresses of one domain. */
  readonly perDomain: Rate | null;
  /** For one mailbox, whatever follows a `+` in its name, and wherever Gmail's has dots. */
  readonly perMailbox: Rate | null;
}

/** Access to the operator's pages by name and password. */
export interface OpsConfig {
  /** The name with which operators sign in. */
  readonly user: string;
  /** The password with which they do. */
  readonly password: string;
}

/**
 * All settings, validated and frozen. The primary reads them once and passes them to each child. Times that end in `Ms`
 * are milliseconds. It holds passwords and URLs with credentials: do not log it.
 */
export interface Config {
  /** NODE_ENV. Only in `production` nothing embedded starts, and nothing is migrated by `start`. */
  readonly environment: 'production' | 'development' | 'test';
  /** Folder of local state (`.catamount/`): data of the embedded servers, mails, control socket. */
  readonly stateDir: string;
  /** true on a dyno, where some defaults differ: one proxy is trusted, and the certificates of plans are not checked. */
  readonly onHeroku: boolean;
  /** The proxies that TRUST_PROXY names. */
  readonly trustProxy: TrustedProxies;
  /** Names of this tree among others of the same app. */
  readonly tree: {
    /** The name for people: that of the dyno, or of the host. */
    readonly name: string;
    /** The key of its history, the same after a restart. */
    readonly place: string;
  };
  /** The places where clients reach the web, from LISTEN, or HOST and PORT. The first is in links and in the log. */
  readonly listen: readonly ListenAddress[];
  /** The files of the certificate chain and its key, from TLS_CERT and TLS_KEY. Default: no TLS. */
  readonly tls?: {
    /** Path of the chain, PEM. */
    readonly cert: string;
    /** Path of the private key, PEM. */
    readonly key: string;
    /** Certificates that clients show, from TLS_CLIENT_CA and TLS_CLIENT_CERT. Default: none is asked for. */
    readonly clients?: {
      /** Path of the certificates of the authorities that sign them, PEM. */
      readonly ca: string;
      /** true: a client without one is refused. One that shows another's is refused anyway. */
      readonly isRequired: boolean;
    };
  };
  /** Where a tree that serves no web answers probes, from HOST and PROBE_PORT. Default: nowhere. */
  readonly probes?: TcpAddress;
  /** Web workers and the limits of their requests. */
  readonly web: WebConfig;
  /** The one deadline of the whole tree, from the first signal to the end of the last process. */
  readonly shutdownTimeoutMs: number;
  /** The tree stops when it has had no request and no job for this time. Default 0: it does not. */
  readonly idleTimeoutMs?: number;
  /** The memory that the tree may use, from MEMORY_LIMIT_MB or the cgroup; null: as much as there is. */
  readonly memoryLimitMb: number | null;
  /** null without a memory limit. */
  readonly heapCaps: HeapCaps | null;
  /** The job processor and its queues. */
  readonly jobs: JobsConfig;
  /** null: an embedded server is started (never in production). */
  readonly databaseUrl: string | null;
  /** Leads past a pooler to Postgres itself, for LISTEN and migrations; null: `databaseUrl` does. */
  readonly databaseDirectUrl: string | null;
  /** The schema of Catamount's tables. */
  readonly databaseSchema: string;
  /** Maximum number of Postgres connections of one process, besides the one that LISTENs. */
  readonly databasePool: {
    /** The pool of each web worker. */
    readonly web: number;
    /** The pool of the job processor. */
    readonly jobs: number;
  };
  /** null: an embedded server is started (never in production), unless `redisOff`. */
  readonly redisUrl: string | null;
  /** true: the tree has no Redis, by REDIS=off or since none comes along for a developer's machine. */
  readonly redisOff: boolean;
  /** Keeps the keys of several apps on one Redis apart, and those of one app in one slot of a cluster; null: no prefix. */
  readonly redisPrefix: string | null;
  /** The delivery of mails. */
  readonly mail: MailConfig;
  /** Rate limits of sign-ups, for `SignUpLimits`. */
  readonly signUps: SignUpsConfig;
  /** The app's public address, without a trailing slash: the base of links in mails. */
  readonly appUrl: string;
  /** The locale of requests and jobs that have none of their own. */
  readonly defaultLocale: Locale;
  /** Name of the app's release, such as `v42` or a commit; null if it is not known. */
  readonly release: string | null;
  /** true: spans go to an OTLP collector. */
  readonly tracing: boolean;
  /** Access to the operator's pages. null: in production nobody, elsewhere holders of `opsToken` on this machine. */
  readonly ops: OpsConfig | null;
  /**
   * Opens the operator's pages without signing in; the log shows it at the start. null: signing in is required or off.
   */
  readonly opsToken: string | null;
  /** Bearer token for /ops/metrics; null: `opsToken`, on this machine only; without either nobody may read it. */
  readonly metricsToken: string | null;
  /** Where metrics are sent to by UDP: `udp://host:8125`; null: nowhere. */
  readonly statsdUrl: string | null;
  /** Where operators are told of what needs them; null: nowhere. */
  readonly alerts: {
    /** URL that gets a POST. It is a secret. */
    readonly webhook: string | null;
    /** Mail addresses. */
    readonly mail: readonly string[];
  } | null;
  /** Files by which the command line finds the running tree. */
  readonly control: {
    /** Path of the Unix socket that takes commands, such as those of `catamount restart`. */
    readonly socket: string;
    /** Path of the file with the primary's pid, the address and the socket's token. */
    readonly stateFile: string;
    /** Path of a file that has only the pid of the process that was started; null: there is none. */
    readonly pidFile: string | null;
  };
  /** The log on standard output. */
  readonly log: {
    /** The least severe level that is written: one of pino's, such as `info`, or `silent`. */
    readonly level: string;
    /** pretty: lines for people. json: one JSON object a line. */
    readonly format: 'pretty' | 'json';
    /** false: requests have no lines of their own; their failures have. */
    readonly requests: boolean;
  };
  /** true: in production a web is ready although migrations are pending (`--allow-pending`). */
  readonly allowPending?: boolean;
  /** true: a job processor of this tree had booted before this process was started. */
  readonly jobsBooted?: boolean;
  /** Identifies the tree; another start has another one. */
  readonly treeId?: string;
  /** Doubtful but valid settings, each a sentence for the log. */
  readonly warnings: readonly string[];
}

/** URLs of the servers that every process of the tree connects to. */
export interface ServerUrls {
  /** Postgres, or a pooler in front of it. */
  readonly database: string;
  /** Postgres itself; equals `database` where no pooler is in between. */
  readonly databaseDirect: string;
  /** Redis, with the settings of its connection; null: it is off. */
  readonly redis: string | null;
}
