import type { EventMap, EventName, Events } from './events';
import type { Logger } from './logging';

type Level = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, unknown>>;
/** Level, message, and the fields that go beside it; those that cost something are made only when the line is written. */
type Line = readonly [Level, string, (Fields | (() => Fields))?];

const SERVICES = { redis: 'Redis', postgres: 'Postgres' } as const;

/** How each event reads as a log line. An event that is not listed writes none. */
const LINES: { readonly [E in EventName]?: (event: EventMap[E]) => Line } = {
  'process.warning': ({ message }) => ['warn', message],
  'process.error': ({ error, during }) => ['error', `${during}: ${error.message}`, { err: error }],
  'descriptors.short': ({ code }) => [
    'error',
    code === 'EMFILE'
      ? 'this process has no file descriptor left (EMFILE), so callers are dropped: raise its limit, by `ulimit -n` or LimitNOFILE'
      : 'this machine has no file descriptor left (ENFILE), so callers are dropped: raise its limit, fs.file-max',
  ],
  'descriptors.back': () => ['info', 'file descriptors are free again'],
  'redis.ready': () => ['debug', 'Redis is connected'],
  'redis.lost': ({ error }) => ['warn', `Redis is not reachable: ${error.message || error.name}. Trying again.`],
  // That Redis is away each process has told by itself.
  'service.away': ({ service, why }) => [
    service === 'redis' ? 'debug' : 'warn',
    `${SERVICES[service]} does not answer: ${why}. Trying again.`,
  ],
  'service.back': ({ service, awayMs }) => ['info', `${SERVICES[service]} answers again, after ${seconds(awayMs)}`],
  'database.error': ({ error }) => ['warn', `Postgres: ${error.message}`],
  'migration.done': (e) => ['info', `migrated ${e.direction}: ${e.name}`],
  'embedded.started': (e) => [
    'debug',
    `${e.adopted ? 'found' : 'started'} embedded ${e.server}, pid ${e.pid}, in ${e.durationMs} ms`,
  ],
  'embedded.stopped': (e) => ['debug', `stopped embedded ${e.server}, pid ${e.pid}`],
  'embedded.lost': (e) => ['warn', `embedded ${e.server}, pid ${e.pid}, ended by itself and is started again`],
  'worker.forked': (e) => ['debug', `worker ${e.slot} forked, pid ${e.pid}, phase ${e.phase}`],
  'worker.ready': (e) => ['info', `worker ${e.slot} is ready, pid ${e.pid}, in ${e.durationMs} ms`],
  'worker.exited': (e) => [e.expected ? 'info' : 'error', `worker ${e.slot}, pid ${e.pid}, ${ending(e)}`],
  'worker.respawn': (e) => ['warn', `worker ${e.slot} starts again in ${e.waitMs} ms (try ${e.attempt})`],
  'worker.silent': (e) => [
    'error',
    `worker ${e.slot}, pid ${e.pid}, was not heard of for ${seconds(e.heartbeatAgeMs)}; it was doing: ${doing(e.inFlight)}` +
      (e.lastRequest ? `; it began last: ${doing([e.lastRequest])}` : ''),
  ],
  'worker.replaced': (e) => ['info', `worker ${e.slot}, pid ${e.pid}, is replaced (${e.reason})`],
  'processor.forked': (e) => ['debug', `job processor forked, pid ${e.pid}`],
  'processor.ready': (e) => ['info', `job processor is ready, pid ${e.pid}, in ${e.durationMs} ms`],
  'processor.exited': (e) => [e.expected ? 'info' : 'error', `job processor, pid ${e.pid}, ${ending(e)}`],
  'processor.silent': (e) => [
    'error',
    `job processor, pid ${e.pid}, was not heard of for ${seconds(e.heartbeatAgeMs)}; it was doing: ${doing(e.inFlight)}`,
  ],
  'processor.kept': (e) => [
    'error',
    `the successor of the job processor cannot boot, the old one, pid ${e.pid}, goes on: ${e.reason}`,
  ],
  'processor.circuit': (e) => [
    'error',
    `job processor died ${e.deaths} times in a row: jobs wait, and it is tried only rarely until it stays up`,
  ],
  'processor.respawn': (e) => ['warn', `job processor starts again in ${e.waitMs} ms (try ${e.attempt})`],
  'processor.stopped': () => [
    'warn',
    'job processor stopped as ordered: jobs wait until `catamount jobs resume`, or a restart',
  ],
  'phase.started': (e) => ['info', `phase ${e.phase} begins: every worker is replaced`],
  'phase.completed': (e) => ['info', `phase ${e.phase} is complete, in ${seconds(e.durationMs)}`],
  'phase.abandoned': (e) => ['error', `phase ${e.phase} was given up, the old workers serve on: ${e.reason}`],
  'workers.sized': ({ sums }) => ['info', `WEB_CONCURRENCY=auto: ${sums}`],
  'memory.planned': ({ limitMb, workers, workerMb, jobsMb }) => [
    'info',
    `memory: of ${limitMb} MB, heaps up to ${workers} × ${workerMb} MB for workers${jobsMb === null ? '' : ` and ${jobsMb} MB for jobs`}`,
  ],
  'memory.high': (e) => [
    'warn',
    `the tree takes ${Math.round(e.totalMb)} of ${e.limitMb} MB: worker ${e.slot} (${Math.round(e.workerMb)} MB) is recycled`,
  ],
  'operator.command': (e) => ['info', `asked to ${e.command} by ${e.via}`],
  'operator.refused': (e) => ['warn', `${e.command}, asked by ${e.via}: ${e.reason}`],
  'operator.queue': ({ action, queue, jobs, via }) => [
    'info',
    `${action} queue ${queue}${action === 'clear' ? `, ${jobs} job(s) deleted` : ''}, asked by ${via}`,
  ],
  'operator.cron': (e) => ['info', `${e.action} recurring job ${e.name}, asked by ${e.via}`],
  'operator.adopted': ({ via }) => ['info', `asked to adopt the database's jobs by ${via}`],
  'operator.process': (e) => ['info', `job processor ${e.process} is to ${e.order}, asked by ${e.via}`],
  'operator.mails': ({ action, count, via }) => [
    'info',
    `${action === 'test' ? 'send a test mail' : `delete ${count} mail(s)`}, asked by ${via}`,
  ],
  'operator.sign-in': ({ role, address, locked }) => [
    role ? 'info' : 'warn',
    role
      ? `signed in to the operator's pages as ${role}`
      : `wrong name or password for the operator's pages${locked ? ', from an address that must wait by now' : ''}`,
    { remoteAddress: address },
  ],
  'operator.jobs': (e) => ['info', `${e.action} ${e.count} job(s) of the ${e.set} set, asked by ${e.via}`],
  'child.output': (e) => ['info', e.line, { child: e.child }],
  'child.killed': (e) => ['error', `killed ${e.child}, pid ${e.pid}: ${e.reason}`],
  'primary.starting': ({ banner: [title = '', ...details] }) => ['info', title, { details }],
  'primary.listening': ({ address, durationMs, pages = [] }) => {
    const open = pages.length === 0 ? '' : `. Open ${pages.join(', ')}`;
    return ['info', `Listening on ${address}, ready in ${(durationMs / 1000).toFixed(1)} s${open}`];
  },
  'primary.stopping': (e) => ['info', `${e.reason}: stopping, at most ${e.timeoutMs / 1000} s`],
  'primary.stopped': (e) => ['info', `stopped in ${(e.durationMs / 1000).toFixed(1)} s, ${e.killed} killed`],
  'request.finished': (e) => {
    const { method, path, status, requestId, remoteAddress } = e;
    const durationMs = Math.round(e.durationMs);
    // What is undefined is not written.
    const refused = e.refused ?? undefined;
    const fields = {
      method,
      path,
      status,
      durationMs,
      queuedMs: Math.round(e.queuedMs),
      refused,
      requestId,
      remoteAddress,
    };
    return [status >= 500 ? 'error' : 'info', `${method} ${path} ${status} in ${durationMs} ms`, fields];
  },
  'request.cut': (e) => ['error', `${e.what} was cut off after ${seconds(e.ageMs)}`, { requestId: e.requestId }],
  'request.error': ({ error, method, path, requestId }) => [
    'error',
    `${method} ${path} failed: ${error.message}`,
    { err: error, requestId },
  ],
  'job.enqueued': ({ id, via, ...job }) => ['debug', `enqueued ${job.class} on ${job.queue}`, { jobId: id, via }],
  'job.duplicate': ({ id, ...job }) => ['debug', `${job.class} is on its way already: not enqueued`, { jobId: id }],
  'job.cancelled': ({ id, ...job }) => ['debug', `${job.class} was cancelled before it was enqueued`, { jobId: id }],
  'job.started': (job) => ['debug', `${job.class} starts, attempt ${job.attempt}`, fieldsOf(job)],
  'job.succeeded': ({ id, durationMs, requestId, ...job }) => [
    'info',
    `${job.class} done in ${durationMs} ms`,
    { jobId: id, requestId },
  ],
  'job.retrying': (job) => [
    'warn',
    `${job.class} failed (attempt ${job.attempt}), again in ${Math.round(job.waitMs / 1000)} s: ${job.error.message}`,
    fieldsOf(job, job.error),
  ],
  'job.dead': (job) => ['error', `${job.class} is dead: ${job.reason}`, fieldsOf(job, job.error)],
  'job.discarded': (job) => ['info', `${job.class} discarded: ${job.error.message}`, fieldsOf(job)],
  'job.overdue': ({ id, ageMs, ...job }) => [
    'warn',
    `${job.class} goes on after its timeout, for ${seconds(ageMs)} by now: it should heed this.context.signal`,
    { jobId: id },
  ],
  'job.returned': ({ id, ...job }) => [
    'info',
    `${job.class} goes back to ${job.queue}: the process stops`,
    { jobId: id },
  ],
  'job.superseded': ({ id, ...job }) => [
    'warn',
    `${job.class} ended too late: another process has it by now`,
    { jobId: id },
  ],
  'job.rescued': ({ id, queue }) => [
    'warn',
    `a job of ${queue} was taken back from a process that died`,
    { jobId: id },
  ],
  'processor.taken-over': (e) => [
    'warn',
    `a job processor on ${e.host}, pid ${e.pid}, was not heard of for ${seconds(e.silenceMs)}: its ${e.jobs} job(s) go to others`,
  ],
  'query.left-transaction': (e) => [
    'warn',
    `a query of ${e.model} came when the transaction that it was begun in had been committed, so it is no part of that: ` +
      'await it inside transaction()',
  ],
  'job.left-transaction': (job) => [
    'warn',
    `${job.class} was enqueued by work that transaction() did not wait for, behind its commit: await it inside, or a ` +
      'rollback cannot take it back',
  ],
  'outbox.redispatched': ({ count }) => [
    'warn',
    `Redis had lost ${count} job(s); they are taken from the outbox again`,
  ],
  'installation.foreign': () => [
    'error',
    'this database was copied from another installation than its Redis: none of its jobs is dispatched until you have ' +
      'looked at them (catamount jobs list scheduled) and say that they are to run here: catamount jobs adopt',
  ],
  'dead.dropped': ({ queue, count, reason }) => [
    'warn',
    reason === 'limit'
      ? `${count} dead job(s) of queue ${queue} were dropped for good: only the newest 10,000 are kept`
      : `${count} dead job(s) of queue ${queue} were dropped for good: they had been dead for 180 days`,
  ],
  'redis.emptied': () => [
    'warn',
    'Redis has lost its data: what is in the outbox is dispatched again, anything else that it held is gone',
  ],
  'queue.restored': ({ queue, count }) => [
    'warn',
    `Redis had lost the place of ${count} job(s) of queue ${queue}; they are back where their records say they belong`,
  ],
  'queue.error': ({ error, during }) => ['warn', `${during}: ${error.message}. Trying again.`],
  'cron.enqueued': (e) => [
    'info',
    `cron ${e.name}: ${e.class} enqueued for ${e.scheduledFor.toISOString()}`,
    { jobId: e.id },
  ],
  'cron.declined': (e) => [
    'info',
    `cron ${e.name}: ${e.class} not enqueued for ${e.scheduledFor.toISOString()} (${e.reason})`,
  ],
  'cron.missed': (e) => [
    'warn',
    `cron ${e.name}: ${e.limited ? 'more than ' : ''}${e.missed} tick(s) were missed, ${e.caughtUp} caught up (${e.policy})`,
  ],
  'cron.error': ({ error, name }) => [
    'warn',
    `cron${name === undefined ? '' : ` ${name}`} could not enqueue: ${error.message}. Trying again.`,
    { err: error },
  ],
  'queue.slow': (e) => [
    'warn',
    `queue ${e.queue} is behind: of ${e.size} jobs that wait the oldest has waited for ${seconds(e.latencyMs)}. ` +
      (e.served
        ? 'Unless its jobs are slow without need, raise JOB_CONCURRENCY, or start another tree with --only jobs'
        : 'No job processor serves it: add it to JOB_QUEUES'),
  ],
  'queue.caught-up': (e) => [
    'info',
    `queue ${e.queue} has caught up: ${e.size} jobs wait, ${seconds(e.latencyMs)} at most`,
  ],
  'outbox.slow': (e) => [
    'warn',
    `the outbox is behind: of ${e.size} jobs that are due the oldest has waited for ${seconds(e.latencyMs)} to be copied to ` +
      'Redis. See whether Redis answers and has memory left, or a queue is full: beyond 10,000 waiting jobs the rest stays here',
  ],
  'outbox.caught-up': (e) => ['info', `the outbox has caught up: ${e.size} jobs are due`],
  'mail.sent': (e) => [
    'info',
    `mail ${e.mailer}#${e.action} sent by ${e.via} in ${e.durationMs} ms`,
    { messageId: e.messageId },
  ],
  'mail.logged': ({ to, subject, text, messageId }) => [
    'info',
    `mail to ${to.join(', ')}: ${subject}\n\n${text}`,
    { messageId },
  ],
  'mail.skipped': (e) => ['info', `mail ${e.mailer}#${e.action} not sent: ${e.reason}`],
  'mail.failed': (e) => ['warn', `mail ${e.mailer}#${e.action} failed: ${e.error.message}`],
};

/** What the line of a job's run carries besides its message. */
function fieldsOf(
  { id, requestId, args }: Pick<EventMap['job.started'], 'id' | 'requestId' | 'args'>,
  error?: Error,
): () => Fields {
  return () => ({ jobId: id, requestId, args: args?.(), err: error });
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function doing(work: readonly { readonly what: string; readonly ageMs: number }[]): string {
  return work.map(({ what, ageMs }) => `${what} (${seconds(ageMs)})`).join(', ') || 'nothing that it told of';
}

function ending({ code, signal, expected }: { code: number | null; signal: string | null; expected: boolean }): string {
  if (expected && code === 0) return 'has left';
  return signal ? `was ended by ${signal}` : `exited with code ${code}`;
}

/** The only writer of log lines. @returns a function that ends it. */
export function logEvents(events: Events, logger: Logger): () => void {
  return events.onAny((name, payload) => {
    const line = LINES[name] as ((event: typeof payload) => Line) | undefined;
    if (!line) return;
    const [level, message, fields = {}] = line(payload);
    if (!logger.isLevelEnabled(level)) return;
    logger[level](typeof fields === 'function' ? fields() : fields, message);
  });
}
