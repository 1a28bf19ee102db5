import { countText, pluralize } from '../support/counted';
import { formatDuration, formatElapsed } from '../support/duration';
import type { Caller, EventMap, EventName, Events } from './events';
import type { Logger } from './logging';
import { isNotable, type NotableEvent } from './notable-events';

type Level = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, unknown>>;

/** The plain values of an event. A kept event has only these, so its sentence is made of them. */
type PlainValues<P> = { readonly [K in keyof P as P[K] extends string | number | boolean | null ? K : never]: P[K] };

interface LogPart<P> {
  /** Text after the sentence, in the log only. */
  readonly detail?: (event: P) => string;
  /** Fields of the log line, made only when it is written. */
  readonly fields?: (event: P) => Fields;
}

interface Entry<P, V> extends LogPart<P> {
  readonly level: Level | ((event: P) => Level);
  readonly sentence: (values: V) => string;
}

type Catalog = {
  readonly [E in EventName]?: Entry<EventMap[E], E extends NotableEvent ? PlainValues<EventMap[E]> : EventMap[E]>;
};

function at(level: Level) {
  return <P, V>(sentence: (values: V) => string, log: LogPart<P> = {}): Entry<P, V> => ({ level, sentence, ...log });
}

const [debug, info, warn, error] = [at('debug'), at('info'), at('warn'), at('error')];

function enqueue(how: string): Entry<EventMap['job.enqueued'], EventMap['job.enqueued']> {
  return {
    level: (e) => (e.source === undefined ? 'debug' : 'info'),
    sentence: (e) => `enqueued ${e.class} on ${e.queue}${how}${e.source === undefined ? '' : `, in ${e.source}`}`,
    fields: jobId,
  };
}

/** Past tense of the operators' actions. */
const DONE: Readonly<Record<string, string>> = {
  pause: 'paused',
  resume: 'resumed',
  clear: 'cleared',
  trigger: 'triggered',
  forget: 'forgot',
  retry: 'retried',
  promote: 'promoted',
  rerun: 'enqueued copies of',
  kill: 'killed',
  delete: 'deleted',
  cancel: 'cancelled',
};

const REASONS: Readonly<Record<string, string>> = {
  phase: 'phased restart',
  memory: 'memory',
  asked: 'requested',
  crash: 'crash',
  boot: 'boot failure',
  timeout: 'no heartbeat',
};

export function reasonText(reason: string): string {
  return REASONS[reason] ?? reason;
}

/**
 * The English sentence of each event, shared by the log and the pages. An event that is not listed is
 * not logged.
 */
const CATALOG: Catalog = {
  'process.warning': warn((e) => e.message),
  'clock.set': warn(
    (e) =>
      `the clock was set ${e.ms < 0 ? 'back' : 'forward'} by ${formatDuration(Math.abs(e.ms))}, or the machine has slept: whatever is due by now runs`,
  ),
  'redis.emptied': warn(() => 'Redis has lost its data: charts and rate limits begin anew, no job is lost'),
  'process.error': error((e) => `${e.during}: ${e.error.message}`, { fields: (e) => ({ err: e.error }) }),
  'descriptors.exhausted': error((e) =>
    e.code === 'EMFILE'
      ? 'this process has no file descriptor left (EMFILE), so new connections are dropped: raise its limit, by `ulimit -n` or LimitNOFILE'
      : 'this machine has no file descriptor left (ENFILE), so new connections are dropped: raise its limit, fs.file-max',
  ),
  'descriptors.freed': info(() => 'file descriptors are available again'),
  'broadcast.dropped': warn((e) => `broadcasts to ${e.to} are dropped: 8 MB of earlier ones wait there`),
  'redis.ready': {
    level: (e) => (e.awayMs === null ? 'debug' : 'info'),
    sentence: (e) =>
      e.awayMs === null ? 'connected to Redis' : `Redis is reachable again after ${formatDuration(e.awayMs)}`,
  },
  'redis.lost': warn((e) => `Redis is not reachable: ${e.error.message || e.error.name}; reconnecting`),
  'database.error': warn((e) => `Postgres: ${e.error.message}`),
  'migration.done': info((e) => `${e.did} migration ${e.name}`),
  'embedded.started': debug((e) => `started embedded ${e.server} (pid ${e.pid}) in ${formatElapsed(e.durationMs)}`),
  'embedded.stopped': debug((e) => `stopped embedded ${e.server} (pid ${e.pid})`),
  'embedded.exited': warn((e) => `embedded ${e.server} (pid ${e.pid}) exited by itself and is restarted`),
  'worker.forked': debug((e) => `${worker(e)} forked, phase ${e.phase}`),
  'worker.ready': info((e) => `${worker(e)} is ready after ${formatElapsed(e.durationMs)}`),
  'worker.exited': { level: (e) => (e.expected ? 'info' : 'error'), sentence: (e) => `${worker(e)} ${ending(e)}` },
  'worker.restart-scheduled': warn(
    (e) => `worker ${e.slot} restarts in ${countText(e.waitMs)} ms (attempt ${e.attempt})`,
  ),
  'worker.unresponsive': error((e) => `${worker(e)} ${noHeartbeat(e)}`, {
    detail: (e) => `; requests in flight: ${workText(e.inFlight)}${lastRequest(e)}`,
  }),
  'worker.replaced': info((e) => `${worker(e)} is being replaced (${reasonText(e.reason)})`),
  'processor.forked': debug((e) => `${processor(e)} forked`),
  'processor.ready': info((e) => `${processor(e)} is ready after ${formatElapsed(e.durationMs)}`),
  'processor.exited': {
    level: (e) => (e.expected ? 'info' : 'error'),
    sentence: (e) => `${processor(e)} ${ending(e)}`,
  },
  'processor.stalled': error((e) => `${e.words} stands still: ${e.reason}${e.about && ` (${e.about})`}`),
  'processor.recovered': info((e) => `${e.words} goes on after ${formatDuration(e.spanMs)}`),
  'processor.unresponsive': error((e) => `${processor(e)} ${noHeartbeat(e)}`, {
    detail: (e) => `; jobs in flight: ${workText(e.inFlight)}`,
  }),
  'processor.kept': error(
    (e) => `the new job processor cannot boot, the old one (pid ${e.pid}) keeps running: ${e.reason}`,
  ),
  'processor.crash-loop': error(
    (e) =>
      `job processor crashed ${pluralize(e.crashes, 'time')} in a row: jobs wait, and it is restarted only rarely until it stays up`,
  ),
  'processor.restart-scheduled': warn(
    (e) => `job processor restarts in ${countText(e.waitMs)} ms (attempt ${e.attempt})`,
  ),
  'phase.started': info((e) => `phased restart to phase ${e.phase} started`),
  'phase.completed': info((e) => `phased restart to phase ${e.phase} completed in ${formatElapsed(e.durationMs)}`),
  'phase.aborted': error(
    (e) => `phased restart to phase ${e.phase} aborted, the workers not yet replaced keep serving: ${e.reason}`,
  ),
  'workers.auto-sized': info((e) => `WEB_CONCURRENCY=auto: ${e.calculation}`),
  'memory.planned': info(
    (e) =>
      `memory limit ${countText(e.limitMb)} MB: heaps of up to ${e.workers} × ${countText(e.workerMb)} MB for workers` +
      (e.jobsMb === null ? '' : ` and ${countText(e.jobsMb)} MB for jobs`),
  ),
  'memory.high': warn(
    (e) =>
      `the tree uses ${megabytes(e.totalMb)} of ${megabytes(e.limitMb)} MB: ${e.slot === null ? 'the job processor' : `worker ${e.slot}`} (${megabytes(e.workerMb)} MB) is recycled`,
  ),
  'operator.command': info((e) => `${e.command} requested by ${callerText(e.via)}`),
  'operator.rejected': warn((e) => `${e.command} requested by ${callerText(e.via)} was rejected: ${e.reason}`),
  'operator.queue': info(
    (e) =>
      `${DONE[e.action]} queue ${e.queue}${e.action === 'clear' ? `, ${pluralize(e.jobs, 'job')} deleted` : ''} (requested by ${callerText(e.via)})`,
  ),
  'operator.cron': info((e) => `${DONE[e.action]} recurring job ${e.name} (requested by ${callerText(e.via)})`),
  'operator.adopted': info((e) => `adopted the jobs of this database (requested by ${callerText(e.via)})`),
  'operator.mails': info(
    (e) => `deleted ${pluralize(e.count, 'mail')} of the inbox (requested by ${callerText(e.via)})`,
  ),
  'operator.sign-in': {
    level: (e) => (e.role ? 'info' : 'warn'),
    sentence: (e) =>
      e.role
        ? "signed in to the operator's pages"
        : `wrong name or password for the operator's pages${e.locked ? ', from an address that has to wait now' : ''}`,
    fields: (e) => ({ remoteAddress: e.address }),
  },
  'operator.jobs': info(
    (e) => `${DONE[e.action] ?? e.action} ${countJobs(e.set, e.count)} (requested by ${callerText(e.via)})`,
  ),
  'child.output': info((e) => e.line, { fields: (e) => ({ child: e.child }) }),
  'child.stacks': warn((e) => `${e.child} (pid ${e.pid}) ${stacksText(e)}`),
  'child.lagging': warn(
    (e) => `${e.child} (pid ${e.pid}) lags: for 10 s its event loop was blocked, or late by half a second and more`,
  ),
  'profile.taken': info(
    (e) => `took a ${PROFILES[e.kind]} of ${e.child} (pid ${e.pid})${e.automatic ? ', which lagged' : ''}: ${e.file}`,
  ),
  'profile.failed': warn((e) => e.message),
  'child.killed': error((e) => `killed ${e.child} (pid ${e.pid}): ${e.reason}`),
  'tls.loaded': {
    level: ({ isOver }) => (isOver ? 'error' : 'info'),
    sentence: (e) => `the certificate for ${e.names} is in use; it ${e.isOver ? 'was' : 'is'} valid until ${e.validTo}`,
  },
  'tls.kept': error((e) => `${e.reason} What was read before stays in use`),
  'connection.refused': warn(
    (e) => `refused ${pluralize(e.count, 'connection')}, the last of ${e.peer || 'a Unix socket'}: ${e.reason}`,
  ),
  'primary.probes': info(({ address }) => `Probes at ${address}/health and ${address}/ready`, {
    fields: ({ address }) => ({ address }),
  }),
  'primary.starting': info((e) => e.banner[0] ?? '', { fields: (e) => ({ details: e.banner.slice(1) }) }),
  'primary.waiting': info(
    (e) =>
      `the tree that ran here, pid ${e.pid}, is stopping: waiting for its end, at most ${formatElapsed(e.limitMs)}`,
  ),
  'primary.listening': info((e) => `Listening on ${e.address}, ready in ${formatElapsed(e.durationMs)}`, {
    detail: ({ also = [], pages = [] }) =>
      (also.length === 0 ? '' : `, and on ${also.join(', ')}`) +
      (pages.length === 0 ? '' : `. Open ${pages.join(', ')}`),
  }),
  'primary.restarting': info((e) => `restart: the new primary (pid ${e.pid}) starts beside this one`),
  'primary.restarted': info(
    (e) => `the new primary (pid ${e.pid}) serves after ${formatElapsed(e.durationMs)}; this one finishes what it has`,
  ),
  'primary.kept': error((e) => `the restart failed, this primary serves on: ${e.reason}`),
  'primary.stopping': info((e) => `${e.reason}: stopping within ${formatElapsed(e.timeoutMs)}`),
  'primary.stopped': info((e) => `stopped in ${formatElapsed(e.durationMs)}, ${countText(e.killed)} killed`),
  'request.finished': {
    level: (e) => (e.status >= 500 ? 'error' : 'info'),
    sentence: (e) => `${e.method} ${e.path} ${e.status} in ${Math.round(e.durationMs)} ms`,
    fields: ({
      method,
      path,
      status,
      durationMs,
      queuedMs,
      sqlMs,
      sqlCount,
      internal,
      shedReason,
      requestId,
      remoteAddress,
    }) => ({
      method,
      path,
      status,
      durationMs: Math.round(durationMs),
      queuedMs: Math.round(queuedMs),
      // Undefined fields are not written.
      ...(sqlCount > 0 && { sqlMs: Math.round(sqlMs), sqlCount }),
      internal: internal || undefined,
      shedReason: shedReason ?? undefined,
      requestId,
      remoteAddress,
    }),
  },
  'request.aborted': error(
    (e) => `${e.request} was aborted after ${formatElapsed(e.ageMs)}, at the deadline of the stop`,
    {
      fields: (e) => ({ requestId: e.requestId }),
    },
  ),
  'request.error': error((e) => `${e.method} ${e.path} failed: ${e.error.message}`, {
    fields: (e) => ({ err: e.error, requestId: e.requestId }),
  }),
  'alert.sent': info(
    (e) => `told operators by ${e.channel}${e.event === 'recovery' ? ' that it is over' : ''}: ${e.line}`,
  ),
  'alert.failed': error((e) => `operators were not told by ${e.channel}: ${e.error.message}`),
  'job.enqueued': enqueue(''),
  'job.duplicate': debug((e) => `${e.class} not enqueued: another job holds its unique key`, {
    fields: jobId,
  }),
  'job.replaced': enqueue(' in place of the one that waits'),
  'job.throttled': debug((e) => `${e.class} not enqueued: another has begun within the time of its throttle`, {
    fields: jobId,
  }),
  'job.enqueue-cancelled': debug((e) => `${e.class} not enqueued: cancelled by a callback or a middleware`, {
    fields: jobId,
  }),
  'job.started': debug((e) => `${e.class} started, attempt ${e.attempt}`, { fields: runFields }),
  'job.succeeded': info((e) => `${e.class} done in ${countText(e.durationMs)} ms`, {
    fields: (e) => ({ jobId: e.id, requestId: e.requestId }),
  }),
  'job.result-lost': warn((e) => `${e.class} is done, but its result is not kept: ${e.why}`, { fields: jobId }),
  'job.log': info((e) => e.text, { fields: jobId }),
  'job.retrying': warn(
    (e) => `${e.class} failed (attempt ${e.attempt}), retried in ${formatDuration(e.waitMs)}: ${e.error.message}`,
    { fields: failureFields },
  ),
  'job.dead': error((e) => `${e.class} is dead: ${e.reason}`, { fields: failureFields }),
  'job.discarded': info((e) => `${e.class} discarded: ${e.error.message}`, { fields: runFields }),
  'job.cancelled': {
    // Thousands may leave at once.
    level: (e) => (e.was === 'running' ? 'info' : 'debug'),
    sentence: (e) => `${e.class} cancelled${e.reason && `: ${e.reason}`}`,
    fields: jobId,
  },
  'job.expired': info((e) => `${e.error.message}: it does not run any more`, { fields: runFields }),
  'job.snoozed': info(
    (e) =>
      e.waitMs > 0
        ? `${e.class} snoozes for ${formatDuration(e.waitMs)}`
        : `${e.class} gives up its slot, and goes on later`,
    { fields: runFields },
  ),
  'job.timeout-ignored': warn(
    (e) =>
      `${e.class} ignores its timeout and has been running for ${formatDuration(e.ageMs)}: it should watch this.context.signal`,
    { fields: jobId },
  ),
  'job.released': info((e) => `${e.class} returned to queue ${e.queue}: the process is stopping`, { fields: jobId }),
  'job.left': {
    level: (e) => (e.wasLogged ? 'debug' : 'warn'),
    sentence: (e) => `${e.class} is left to other processors: ${e.error.message}`,
    fields: jobId,
  },
  'job.rate-limited': info((e) => `${e.class} was told to wait for ${formatDuration(e.waitMs)}`, { fields: jobId }),
  'job.fenced': warn((e) => `${e.class} ended too late: another process has it by now`, { fields: jobId }),
  'job.rescued': warn((e) => `rescued a job of queue ${e.queue} from a process that died`, {
    fields: ({ id, identity }) => ({ jobId: id, processor: identity }),
  }),
  'query.left-transaction': warn(
    (e) =>
      `a query of ${e.model} ran after its transaction had been committed, so it is not part of it: await it inside transaction()`,
  ),
  'job.left-transaction': warn(
    (e) =>
      `${e.class} was enqueued after the commit, by work that transaction() did not wait for: await it inside, or a ` +
      'rollback cannot undo it',
  ),
  'database.copied': error(
    () =>
      'this database is a copy of another one (another server, or another name): none of its jobs runs here until you run `catamount jobs adopt`',
    { detail: () => '. Look at them first: `catamount jobs list scheduled`' },
  ),
  'notifications.lost': warn(
    () =>
      'notifications of Postgres do not arrive, as through a pooler in transaction mode, so jobs start later: ' +
      'set DATABASE_DIRECT_URL to the URL of Postgres itself',
  ),
  'notifications.restored': info(() => 'notifications of Postgres arrive again'),
  'dead.dropped': warn(
    (e) =>
      `deleted ${pluralize(e.count, 'dead job')} of queue ${e.queue}: ` +
      (e.reason === 'limit' ? 'only the newest 10,000 are kept' : 'dead for 180 days'),
  ),
  'queue.error': warn((e) => `${e.during}: ${e.error.message}; retrying`),
  'cron.enqueued': info((e) => `cron ${e.name}: enqueued ${e.class} for ${e.scheduledFor.toISOString()}`, {
    fields: jobId,
  }),
  'cron.skipped': info((e) => `cron ${e.name}: skipped ${e.class} for ${e.scheduledFor.toISOString()} (${e.reason})`),
  'cron.missed': warn(
    (e) =>
      `cron ${e.name}: missed ${e.limited ? 'more than ' : ''}${pluralize(e.missed, 'tick')}, caught up ${countText(e.caughtUp)} (${e.policy})`,
  ),
  'cron.ping-failed': warn((e) => `${e.host} did not get the ping of ${e.class}: ${e.error.message}`),
  'cron.error': warn(
    (e) => `cron${e.name === undefined ? '' : ` ${e.name}`} could not enqueue: ${e.error.message}; retrying`,
    {
      fields: (e) => ({ err: e.error }),
    },
  ),
  'queue.latency-high': warn(
    (e) =>
      `queue ${e.queue} is behind: the oldest of ${pluralize(e.size, 'waiting job')} has waited for ${formatDuration(e.latencyMs)}. ` +
      'Unless its jobs are needlessly slow, raise JOB_CONCURRENCY, or start another tree with --only jobs',
  ),
  'queue.latency-normal': info(
    (e) =>
      `queue ${e.queue} has caught up: ${pluralize(e.size, 'waiting job')}, the oldest for ${formatDuration(e.latencyMs)}`,
  ),
  'mail.sent': info((e) => `mail ${e.mailer}#${e.action} sent by ${e.via} in ${countText(e.durationMs)} ms`, {
    fields: (e) => ({ messageId: e.messageId }),
  }),
  'mail.logged': info((e) => `mail to ${e.to.join(', ')}: ${e.subject}\n\n${e.text}`, {
    fields: (e) => ({ messageId: e.messageId }),
  }),
  'mail.skipped': info((e) => `mail ${e.mailer}#${e.action} not sent: ${e.reason}`),
  'mail.failed': warn((e) => `mail ${e.mailer}#${e.action} failed: ${e.error.message}`),
};

/** @param values may come from a tree of another version. @returns undefined for an unknown event. */
export function eventSentence(name: string, values: Readonly<Record<string, unknown>>): string | undefined {
  if (!isNotable(name)) return undefined;
  const { sentence } = CATALOG[name] as unknown as Entry<never, typeof values>;
  return sentence(values);
}

function worker({ slot, pid }: { readonly slot: number; readonly pid: number }): string {
  return `worker ${slot} (pid ${pid})`;
}

function processor({ pid }: { readonly pid: number }): string {
  return `job processor (pid ${pid})`;
}

function ending({ code, signal, expected }: Pick<EventMap['worker.exited'], 'code' | 'signal' | 'expected'>): string {
  if (expected && code === 0) return 'stopped';
  return signal ? `was killed by ${signal}` : `exited with code ${code}`;
}

const noHeartbeat = (e: { readonly heartbeatAgeMs: number }) =>
  `has sent no heartbeat for ${formatDuration(e.heartbeatAgeMs)}`;

const PROFILES = { cpu: 'CPU profile', heap: 'heap snapshot' } as const;

function stacksText({ threads, failure }: EventMap['child.stacks']): string {
  if (failure !== null) return `cannot be asked what it runs: ${failure}`;
  if (threads.length === 0) return 'runs no JavaScript at this moment';
  return threads.map(({ thread, frames }) => [`runs in its ${thread}:`, ...frames].join('\n')).join('\n');
}

function workText(work: EventMap['worker.unresponsive']['inFlight']): string {
  return work.map(({ what, ageMs }) => `${what} (${formatElapsed(ageMs)})`).join(', ') || 'none reported';
}

const lastRequest = ({ lastRequest: last }: EventMap['worker.unresponsive']) =>
  last ? `; last request: ${workText([last])}` : '';

function countJobs(set: string, count: number): string {
  return set === 'retry' ? `${pluralize(count, 'job')} waiting for a retry` : pluralize(count, `${set} job`);
}

const megabytes = (mb: number) => countText(Math.round(mb));

function jobId({ id }: { readonly id: string }): Fields {
  return { jobId: id };
}

function runFields({ id, requestId, args }: Pick<EventMap['job.started'], 'id' | 'requestId' | 'args'>): Fields {
  return { jobId: id, requestId, args: args?.() };
}

function failureFields(run: Pick<EventMap['job.dead'], 'id' | 'requestId' | 'args' | 'error'>): Fields {
  return { ...runFields(run), err: run.error };
}

/**
 * Logs all events; this is the only writer of log lines.
 * @param requests false: no lines for requests. @returns a function that ends it.
 */
export function logEvents(events: Events, logger: Logger, { requests = true } = {}): () => void {
  return events.onAny((name, payload) => {
    if (name === 'request.finished' && !requests) return;
    const entry = CATALOG[name] as Entry<typeof payload, typeof payload> | undefined;
    if (!entry) return;
    const level = typeof entry.level === 'string' ? entry.level : entry.level(payload);
    if (!logger.isLevelEnabled(level)) return;
    logger[level](entry.fields?.(payload) ?? {}, entry.sentence(payload) + (entry.detail?.(payload) ?? ''));
  });
}

const IS_CALLER = /^(?:(pages|cli|signal):.*|socket|redis|app)$/s;

export function isCaller(text: string): text is Caller {
  return IS_CALLER.test(text);
}

/** The kind of a `Caller` and its address, user or signal. */
export function readCaller(caller: string): { readonly kind: string; readonly name: string } {
  const [, kind = caller, name = ''] = /^(pages|cli|signal):(.*)$/s.exec(caller) ?? [];
  return { kind, name };
}

/** Words a `Caller` for the log; other texts stay as they are. */
export function callerText(caller: string): string {
  const { kind, name } = readCaller(caller);
  if (kind === 'pages') return `the operator's pages, ${name}`;
  if (kind === 'cli') return `cli (${name})`;
  if (kind === 'signal') return name;
  if (kind === 'app') return 'the app';
  return kind === 'socket' ? 'the control socket' : caller;
}
