import type { Mutation } from './mutation';

const RECORD = 'lib/mailer/delivery/delivery-record.ts';
const RECORD_TESTS = ['test/mailer/delivery-record.test.ts'];
const KEEPING = ['test/testing/conformance/keeping.test.ts'];
const SIGN_UP_LIMITS = ['test/app/sign-up-limits.test.ts'];
const OWN_WEB = ['test/web/own-web.test.ts'];
const RUNS = ['test/testing/conformance/runs.test.ts'];

/** Mutations of mails, of the handling of requests, and of the test helpers. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a text that a locale lacks is reported once',
    file: 'lib/core/i18n.ts',
    find: 'if (told.has(once)) return;',
    replace: '',
    killedBy: ['test/core/i18n.test.ts'],
  },
  {
    promise: 'a regional locale falls back to its language before the default locale',
    file: 'lib/core/i18n.ts',
    find: '...parents, ...withParents(defaultLocale), LAST',
    replace: '...parents.slice(0, 1), ...withParents(defaultLocale), LAST',
    killedBy: ['test/core/i18n.test.ts'],
  },
  {
    promise: 'a client gets a locale that the app has',
    file: 'lib/web/application.ts',
    find: 'readLocales(options.localesDir)',
    replace: 'localesOrShipped([])',
    killedBy: ['test/web/application.test.ts'],
  },
  {
    promise: 'a text that is only used in code is reported when another locale lacks it',
    file: 'lib/mailer/check/check-texts.ts',
    find: 'lacking.set(stem, locale);',
    replace: '',
    killedBy: ['test/role/checks/check.test.ts'],
  },
  {
    promise: 'bodyParser: false leaves a body to the route',
    file: 'lib/web/body.ts',
    find: 'type === false || own === false',
    replace: 'type === false',
    killedBy: OWN_WEB,
  },
  {
    promise: "the operator's pages keep their security headers, whatever the app sets",
    file: 'lib/web/security-headers.ts',
    find: 'own && !/^\\/ops(\\/|$)/.test(ctx.path) ? own',
    replace: 'own ? own',
    killedBy: OWN_WEB,
  },
  {
    promise: 'a request that Node rejects gets a problem document',
    file: 'lib/web/client-error.ts',
    find: '  socket.end(`',
    replace: '  if (status === 408) return void socket.destroy();\n  socket.end(`',
    killedBy: OWN_WEB,
  },
  {
    promise: 'a sign-up that is rejected for its address does not count for the domain',
    file: 'lib/web/sign-up.ts',
    find: `(await this.perAddress.take(clientNetwork(ip))) ||
      (await this.perMailbox.take(mailbox)) ||
      (await this.perDomain.take(domain))`,
    replace: `(await this.perDomain.take(domain)) ||
      (await this.perMailbox.take(mailbox)) ||
      (await this.perAddress.take(clientNetwork(ip)))`,
    killedBy: SIGN_UP_LIMITS,
  },
  {
    promise: 'what catamount new writes limits sign-ups by mailbox, as the sample does',
    file: 'lib/cli/generate/templates/new/users.ejs',
    find: '    const seconds = await limits.take(ctx.ip, email);',
    replace: '    const seconds = await limits.take(ctx.ip, { ...email, mailbox: email.address });',
    killedBy: ['test/app/attacks.test.ts'],
  },
  {
    promise: 'a sign-up that failed on the server does not count',
    file: 'lib/app/routes/users.ts',
    find: '      await limits.giveBack(ctx.ip, email);\n',
    replace: '',
    killedBy: SIGN_UP_LIMITS,
  },
  {
    promise: 'rate limits do not wait for a Redis that does not reply',
    file: 'lib/web/rate-limit.ts',
    find: "return ask('own');\n  }\n}",
    replace: 'return answer;\n  }\n}',
    killedBy: SIGN_UP_LIMITS,
  },
  {
    promise: 'a mail whose sender died is sent even if its backend pid is in use again',
    file: RECORD,
    find: ' and a.backend_start = d.claimed_by_since',
    replace: '',
    killedBy: RECORD_TESTS,
  },
  {
    promise: 'a late partial result does not change a mail that is sent',
    file: RECORD,
    find: " and state <> 'sent'`",
    replace: '`',
    killedBy: RECORD_TESTS,
  },
  {
    promise: 'a run that sends nothing keeps the list of those who have got the mail',
    file: RECORD,
    find: "state: 'claimed', settled: '{}' })",
    replace: "state: 'claimed' })",
    killedBy: RECORD_TESTS,
  },
  {
    promise: 'two overlapping runs both keep the recipients of the other',
    file: RECORD,
    find: 'set settled = settled || array(',
    replace: 'set settled = array(',
    killedBy: RECORD_TESTS,
  },
  {
    promise: 'a failed mail is sent by a later run',
    file: RECORD,
    find: "where d.state = 'failed' or d.state = 'claimed' and (",
    replace: "where d.state = 'claimed' and (",
    killedBy: RECORD_TESTS,
  },
  {
    promise: 'an old run does not end a newer one’s claim',
    file: RECORD,
    find: ".where({ key, claim: token, state: 'claimed' })",
    replace: ".where({ key, state: 'claimed' })",
    killedBy: RECORD_TESTS,
  },
  {
    promise: 'mails to different recipients are told apart even if a list changes between two runs',
    file: 'lib/mailer/delivery/idempotency-keys.ts',
    find: ', ...recipients(draft).sort(), ',
    replace: ', ',
    killedBy: ['test/mailer/delivery-key.test.ts'],
  },
  {
    promise: 'mails to the same people are told apart by all their arguments',
    file: 'lib/mailer/delivery/idempotency-keys.ts',
    find: ', given]',
    replace: ']',
    killedBy: ['test/mailer/delivery-key.test.ts', 'test/mailer/mails-of-one-job.test.ts'],
  },
  {
    promise: 'the next attempt counts its mails from the start, and finds those already sent',
    file: 'lib/mailer/delivery/idempotency-keys.ts',
    find: 'previous && previous.attempt === attempt ? previous',
    replace: 'previous ? previous',
    killedBy: ['test/mailer/delivery-key.test.ts'],
  },
  {
    promise: 'a rescued job’s run in the same process counts its mails from the start',
    file: 'lib/mailer/delivery/delivery.ts',
    find: "  'job.started',\n",
    replace: '',
    killedBy: ['test/mailer/delivery.test.ts'],
  },
  {
    promise: 'a run whose claim another has taken meanwhile does not send',
    file: 'lib/mailer/delivery/send-attempt.ts',
    find: 'performance.now() - since > record.renewAfterMs && !(',
    replace: 'since < 0 && !(',
    killedBy: ['test/mailer/delivery.test.ts'],
  },
  {
    promise: 'a sent mail that cannot be recorded does not fail its job, which would send it again',
    file: 'lib/mailer/delivery/send-attempt.ts',
    find: "await writes.write('recording a mail that was sent', () => record.sent(key.key, receipt, to));",
    replace: 'await record.sent(key.key, receipt, to);',
    killedBy: ['test/mailer/postgres-outage.test.ts'],
  },
  {
    promise: 'recipients who have got a mail do not get it again with the others',
    file: 'lib/mailer/delivery/send-attempt.ts',
    find: 'if (settled.length === 0) return message;',
    replace: 'if (settled.length >= 0) return message;',
    killedBy: ['test/mailer/partial-delivery.test.ts'],
  },
  {
    promise: 'a recipient who was refused temporarily is retried',
    file: 'lib/mailer/transport/smtp.ts',
    find: "permanent: error.responseCode === undefined || (error.responseCode >= 500 && !isPassing(error.response ?? '')),",
    replace: 'permanent: true,',
    killedBy: ['test/mailer/partial-delivery.test.ts'],
  },
  {
    promise: 'a mail is retried after a 4xx',
    file: 'lib/mailer/transport/smtp.ts',
    find: 'responseCode >= 500 &&\n    responseCode < 600 &&',
    replace: 'responseCode >= 400 &&\n    responseCode < 600 &&',
    killedBy: ['test/mailer/transport/smtp.test.ts'],
  },
  {
    promise: 'a server that requires a login fails no mail for good',
    file: 'lib/mailer/transport/smtp.ts',
    find: '!ABOUT_LOGIN.has(responseCode)',
    replace: 'ABOUT_LOGIN.size > 0',
    killedBy: ['test/mailer/transport/smtp.test.ts'],
  },
  {
    promise: 'no header contains a line break',
    file: 'lib/mailer/compose/headers.ts',
    find: 'if (/[\\r\\n\\0]/.test(value))',
    replace: 'if (/[\\r\\0]/.test(value))',
    killedBy: ['test/mailer/address.test.ts'],
  },
  {
    promise: 'a WebSocket that the app leaves open is closed with 1001',
    file: 'lib/web/server.ts',
    find: 'socket.end(GOING_AWAY);',
    replace: 'socket.end();',
    killedBy: ['test/web/goodbye.test.ts'],
  },
  {
    promise: 'a long poll of socket.io that is cut off is named',
    file: 'lib/web/server.ts',
    find: "this.server.prependListener('request', (_, response) => this.note(response));",
    replace: '',
    killedBy: ['test/web/goodbye.test.ts'],
  },
  {
    promise: 'a stream is told that the server is stopping',
    file: 'lib/web/server.ts',
    find: 'for (const controller of this.goodbyes.values()) controller.abort();',
    replace: 'for (const controller of []) controller;',
    killedBy: ['test/web/goodbye.test.ts'],
  },
  {
    promise: "a body that the app's middleware has read is left alone",
    file: 'lib/web/body.ts',
    find: 'if (ctx.req.readableDidRead) return next();',
    replace: '',
    killedBy: ['test/web/own-koa.test.ts'],
  },
  {
    promise: 'no more requests wait than the backlog allows',
    file: 'lib/web/concurrency-limiter.ts',
    find: 'this.queue.size >= this.options.backlog',
    replace: 'this.queue.size > this.options.backlog',
    killedBy: ['test/web/limit.test.ts'],
  },
  {
    promise: 'requests are served in the order of their arrival',
    file: 'lib/web/concurrency-limiter.ts',
    find: 'for (const entry of this.queue)',
    replace: 'for (const entry of [...this.queue].reverse())',
    killedBy: ['test/web/limit.test.ts'],
  },
  {
    promise: 'a client that disconnects while waiting frees its place',
    file: 'lib/web/concurrency-limiter.ts',
    find: "onRequestEnd(response, () => leave('gone'))",
    replace: 'onRequestEnd(response, () => undefined)',
    killedBy: ['test/web/limit.test.ts'],
  },
  {
    promise: 'a stopping process is not ready',
    file: 'lib/web/health.ts',
    find: "if (isLeaving()) throw notReady('This process is shutting down.', []);",
    replace: 'isLeaving();',
    killedBy: ['test/web/health.test.ts'],
  },
  {
    promise: 'a store that does not answer in time is down',
    file: 'lib/web/health.ts',
    find: 'return valueWithin(answer(), ANSWER_MS, { name, error: undefined, isOptional });',
    replace: 'return valueWithin(answer(), ANSWER_MS, null);',
    killedBy: ['test/web/health.test.ts'],
  },
  {
    promise: 'concurrent probes share one round of checks',
    file: 'lib/web/health.ts',
    find: 'round ??= findFailing',
    replace: 'round = findFailing',
    killedBy: ['test/web/health.test.ts'],
  },
  {
    promise: 'slow senders occupy no slot',
    file: 'lib/web/application.ts',
    find: '  app.use(body.receive);\n  app.use(limitConcurrency(limiter));\n',
    replace: '  app.use(limitConcurrency(limiter));\n  app.use(body.receive);\n',
    killedBy: ['test/web/json-body.test.ts'],
  },
  {
    promise: '/health answers while no slot is free',
    file: 'lib/web/application.ts',
    find: `  app.use(health(options));
  app.use(wellFormedPath);
  app.use(shedStale());
  if (options.mounts) app.use(options.mounts);
  app.use(body.receive);
  app.use(limitConcurrency(limiter));
`,
    replace: `  app.use(wellFormedPath);
  app.use(shedStale());
  if (options.mounts) app.use(options.mounts);
  app.use(body.receive);
  app.use(limitConcurrency(limiter));
  app.use(health(options));
`,
    killedBy: ['test/web/limit.test.ts'],
  },
  {
    promise: 'no body is a byte larger than the limit, however it is sent',
    file: 'lib/web/body.ts',
    find: 'if (size > limit) refuse(',
    replace: 'if (size > 2 * limit) refuse(',
    killedBy: ['test/web/json-body.test.ts'],
  },
  {
    promise: 'a body with too large a Content-Length is rejected at once',
    file: 'lib/web/body.ts',
    find: 'if (announced > limit) throw',
    replace: 'if (announced < 0) throw',
    killedBy: ['test/web/json-body.test.ts'],
  },
  {
    promise: 'a key that would pollute prototypes is rejected at any depth',
    file: 'lib/web/body.ts',
    find: 'unseen.push(inner);',
    replace: '',
    killedBy: ['test/web/json-body.test.ts'],
  },
  {
    promise: "an app's own 404 and 405 pages are kept",
    file: 'lib/web/missing.ts',
    find: '(status !== 404 && status !== 405) || (body !== undefined && body !== null)',
    replace: 'status !== 404 && status !== 405',
    killedBy: ['test/web/own-koa.test.ts'],
  },
  {
    promise: 'unfinished bodies take no more memory than a bound',
    file: 'lib/web/body.ts',
    find: 'else if (held.take(chunk.length)) chunks',
    replace: 'else if (held) chunks',
    killedBy: ['test/web/json-body.test.ts'],
  },
  {
    promise: 'a malformed form is the fault of the client',
    file: 'lib/web/body-errors.ts',
    find: 'if (!OF_BUSBOY.test(message)) return undefined;',
    replace: "if (message !== '') return undefined;",
    killedBy: ['test/web/parser-errors.test.ts'],
  },
  {
    promise: 'request() in a test exposes the error behind a 500',
    file: 'lib/testing/in-process-app.ts',
    find: 'const error = this.errors.get(requestId);',
    replace: 'const error = undefined;',
    killedBy: ['test/testing/request.test.ts'],
  },
  {
    promise: 'fake and inline jobs of a transaction that is rolled back do not exist',
    file: 'lib/testing/memory-jobs.ts',
    find: 'committed ? this.accept(entry) : this.takeBack(entry)',
    replace: 'committed ? this.accept(entry) : this.accept(entry)',
    killedBy: KEEPING,
  },
  {
    promise: 'a fake unique job that is rolled back leaves its key free',
    file: 'lib/testing/memory-jobs.ts',
    find: '    this.claims.release(entry.request.id);\n    this.jobLog.remove(entry);',
    replace: '    this.jobLog.remove(entry);',
    killedBy: KEEPING,
  },
  {
    promise: 'a fake job that dies fails the test',
    file: 'lib/testing/memory-jobs.ts',
    find: "if (outcome === 'dead' || (",
    replace: 'if ((',
    killedBy: RUNS,
  },
  {
    promise: 'an inline job that fails leaves its key free',
    file: 'lib/testing/memory-jobs.ts',
    find: '      this.claims.release(entry.request.id);\n',
    replace: '',
    killedBy: KEEPING,
  },
  {
    promise: 'an inline job that fails throws to its caller',
    file: 'lib/testing/memory-jobs.ts',
    find: "if (outcome === 'retrying' || outcome === 'dead') throw",
    replace: "if (outcome === 'dead') throw",
    killedBy: RUNS,
  },
  {
    promise: 'a real job counts as enqueued once its transaction has committed',
    file: 'lib/testing/real-jobs.ts',
    find: 'if (trx) onOutcome(',
    replace: 'if (trx) accept(entry);\n    if (trx) onOutcome(',
    killedBy: KEEPING,
  },
  {
    promise: 'real jobs that are left over are removed from Redis and Postgres',
    file: 'lib/testing/real-jobs.ts',
    find: 'if (left.length > 0) await',
    replace: 'if (left.length < 0) await',
    killedBy: ['test/testing/real-jobs.test.ts'],
  },
  {
    promise: 'each opaque argument makes a separate mail',
    file: 'lib/mailer/delivery/argument-digest.ts',
    find: "shown.join('') === '{}' ? [randomUUID()] : shown",
    replace: 'shown',
    killedBy: ['test/mailer/delivery-key.test.ts'],
  },
  {
    promise: 'a name that contains a web address with an ideographic dot is rejected',
    file: 'lib/web/sign-up.ts',
    find: ".replaceAll('\\u3002', '.')",
    replace: '',
    killedBy: ['test/web/sign-up.test.ts'],
  },
  {
    promise: 'a mail server may take twelve seconds to accept a message',
    file: 'lib/mailer/transport/smtp.ts',
    find: 'timeouts.socketMs ?? SEND_TIMEOUT_MS',
    replace: 'timeouts.socketMs ?? 10_000',
    killedBy: ['test/mailer/smtp-faults.deep.ts'],
  },
];
export default mutations;
