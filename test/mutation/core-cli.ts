import type { Mutation } from './mutation';

const SETTINGS = 'test/core/settings.test.ts';
const LIFETIME = 'test/cluster/control/lifetime.test.ts';
const SERVER = 'test/cluster/control/server.test.ts';
const LOG = 'test/core/log.test.ts';
const LOG_FILTER = 'test/core/log-filter.test.ts';
const TLS = 'test/core/tls-mode.test.ts';
const I18N = 'test/core/i18n.test.ts';
const USAGE = 'test/cli/usage.test.ts';
const RATES = 'test/cli/top/rates.test.ts';
const TOP = 'test/cli/top/top.test.ts';

/** Mutations of settings, the control socket, its state file, the log, texts, `catamount` and `catamount top`. */
const mutations: readonly Mutation[] = [
  {
    promise: 'the log tells nothing of the rows that Postgres refuses',
    file: 'lib/core/log-filter.ts',
    find: 'isOfPostgres(fields) ? withoutData(fields) : fields',
    replace: 'isOfPostgres(fields) ? fields : fields',
    killedBy: [LOG_FILTER],
  },
  {
    promise: 'the log hides the attributes that arguments would hide',
    file: 'lib/core/logging.ts',
    find: 'attributes: filter.attributes(context.attributes)',
    replace: 'attributes: context.attributes',
    killedBy: [LOG_FILTER],
  },
  {
    promise: 'certificates are checked unless a URL says not to',
    file: 'lib/core/tls.ts',
    find: "isThisMachine(hostname) ? 'verify-full' : 'disable'",
    replace: "isThisMachine(hostname) ? 'require' : 'disable'",
    killedBy: [TLS, 'test/model/database.test.ts'],
  },
  {
    promise: "the viewer's password is not the operator's",
    file: 'lib/core/settings.ts',
    find: '.refine((text) => text !== opsPassword),',
    replace: '.refine((text) => text !== opsUser),',
    killedBy: [SETTINGS],
  },
  {
    promise: 'a complaint shows no secret',
    file: 'lib/core/settings-reader.ts',
    find: 'secret ? hideSecret(text) : text, allowed);',
    replace: 'secret ? hideSecret(text) && text : text, allowed);',
    killedBy: [SETTINGS],
  },
  {
    promise: 'a token for metrics cannot be guessed',
    file: 'lib/core/settings.ts',
    find: '+/=-]{16,}$/',
    replace: '+/=-]{1,}$/',
    killedBy: [SETTINGS],
  },
  {
    promise: 'production insists on a Redis of its own',
    file: 'lib/core/settings.ts',
    find: 'if (production && redisUrl === null)',
    replace: 'if (production && redisUrl === undefined)',
    killedBy: [SETTINGS],
  },
  {
    promise: 'the TLS URL of Redis goes before the plain one',
    file: 'lib/core/settings.ts',
    find: "['REDIS_TLS_URL', 'REDIS_URL', 'REDISTOGO_URL']",
    replace: "['REDIS_URL', 'REDIS_TLS_URL', 'REDISTOGO_URL']",
    killedBy: [SETTINGS],
  },
  {
    promise: 'heaps together stay below the limit',
    file: 'lib/core/memory-plan.ts',
    find: 'workers + (jobs ? JOBS_SHARE : 0)',
    replace: 'workers + (jobs ? 0 : JOBS_SHARE)',
    killedBy: [SETTINGS],
  },
  {
    promise: 'a state file is its owner’s only',
    file: 'lib/cluster/control/state-file.ts',
    find: '{ mode: 0o600, flag:',
    replace: '{ mode: 0o644, flag:',
    killedBy: ['test/cluster/control/state-file.test.ts', LIFETIME],
  },
  {
    promise: 'a state file is never seen half written',
    file: 'lib/cluster/control/state-file.ts',
    find: 'fs.renameSync(draft, file);',
    replace: 'fs.copyFileSync(draft, file);',
    killedBy: ['test/cluster/control/state-file.test.ts'],
  },
  {
    promise: 'a tree that ends leaves the state file of a later one alone',
    file: 'lib/cluster/control/state-file.ts',
    find: 'if (readState(file)?.token === token)',
    replace: 'if (readState(file)?.token !== undefined && token)',
    killedBy: ['test/cluster/control/state-file.test.ts'],
  },
  {
    promise: 'the socket is private before anyone can look',
    file: 'lib/cluster/control/server.ts',
    find: 'process.umask(0o177)',
    replace: 'process.umask(0o022)',
    killedBy: [LIFETIME],
  },
  {
    promise: 'a wrong token is refused',
    file: 'lib/cluster/control/server.ts',
    find: "digest(header ?? ''), digest(",
    replace: "digest(header ?? ''), digest(header ?? ",
    killedBy: [SERVER, 'test/fuzz/control-socket.test.ts'],
  },
  {
    promise: 'a second tree does not take the socket of one that lives',
    file: 'lib/cluster/control/state-file.ts',
    find: 'if (await isListening(file)) throw takenError(file);',
    replace: "if ((await isListening(file)) && file === '') throw takenError(file);",
    killedBy: [LIFETIME],
  },
  {
    promise: 'a second tree does not take the state file of one that lives',
    file: 'lib/cluster/control/server.ts',
    find: 'if (former && (await',
    replace: "if (former?.token === '' && (await",
    killedBy: [LIFETIME],
  },
  {
    promise: 'what a dead tree has left is not in the way',
    file: 'lib/cluster/control/state-file.ts',
    find: 'if (now?.ino === found.ino && now.ctimeMs === found.ctimeMs)',
    replace: 'if (now?.ino === found.ino && now.ctimeMs > found.ctimeMs)',
    killedBy: [LIFETIME],
  },
  {
    promise: 'a pid that another program has by now is not taken for a tree',
    file: 'lib/cluster/control/state-file.ts',
    find: "? 'alive' : 'another program';\n  } catch",
    replace: "? 'alive' : 'alive';\n  } catch",
    killedBy: ['test/cluster/control/state-file.test.ts', 'test/cli/control.test.ts'],
  },
  {
    promise: 'who orders an end is answered before it comes',
    file: 'lib/cluster/control/server.ts',
    find: "response.once('close', () => void this.run(order));",
    replace: 'void this.run(order);',
    killedBy: ['test/cluster/control/lifetime.deep.ts'],
  },
  {
    promise: 'a signal is heeded each time it comes',
    file: 'lib/cluster/control/signals.ts',
    find: 'process.on(signal, handler);',
    replace: 'process.once(signal, handler);',
    killedBy: ['test/cluster/control/signals.test.ts'],
  },
  {
    promise: 'a command takes a whole number only',
    file: 'lib/cluster/control/commands.ts',
    find: '/^\\d{1,6}$/',
    replace: '/^\\d{1,6}/',
    killedBy: [SERVER],
  },
  {
    promise: 'what is typed too much is refused',
    file: 'lib/cli/control.ts',
    find: 'if (more.length > 0) throw',
    replace: 'if (more.length > 1) throw',
    killedBy: [USAGE],
  },
  {
    promise: 'a resume with a queue is for the queue, not for the job processor',
    file: 'lib/cli/jobs.ts',
    find: 'return queue === undefined && (',
    replace: "return queue !== '' && (",
    killedBy: [USAGE],
  },
  {
    promise: 'catamount stop returns when the primary is gone',
    file: 'lib/cli/control.ts',
    find: 'if (command.final) await',
    replace: 'if (command.slow) await',
    killedBy: ['test/cli/control.deep.ts'],
  },
  {
    promise: 'a line of the log names its request',
    file: 'lib/core/logging.ts',
    find: 'const context = { ...currentContext() };',
    replace: 'const context: ReturnType<typeof currentContext> = {};',
    killedBy: [LOG],
  },
  {
    promise: 'arguments are not asked for when no line is written',
    file: 'lib/core/event-catalog.ts',
    find: 'if (!logger.isLevelEnabled(level)) return;',
    replace: "if (logger.level === 'silent') return;",
    killedBy: [LOG],
  },
  {
    promise: 'a listener that throws disturbs nobody',
    file: 'lib/core/events.ts',
    find: "if (name !== 'process.error') this.emit(",
    replace: "if (name !== 'process.error') throw error;\n        else this.emit(",
    killedBy: ['test/core/events.test.ts'],
  },
  {
    promise: 'a text in a mail has its values',
    file: 'lib/core/i18n.ts',
    find: '...(strict && { missingInterpolationHandler: refuse }),',
    replace: '...(!strict && { missingInterpolationHandler: refuse }),',
    killedBy: [I18N],
  },
  {
    promise: 'a value does not change the locale',
    file: 'lib/core/i18n.ts',
    find: 'Object.assign({}, values, { lng: locale })',
    replace: 'Object.assign({ lng: locale }, values)',
    killedBy: [I18N],
  },
  {
    promise: 'values of a text are not escaped twice',
    file: 'lib/core/i18n.ts',
    find: 'escapeValue: false',
    replace: 'escapeValue: true',
    killedBy: [I18N],
  },
  {
    promise: 'top counts the answers that are our fault',
    file: 'lib/cli/top/view.ts',
    find: "key.endsWith('5xx')",
    replace: "key.endsWith('xx')",
    killedBy: [RATES],
  },
  {
    promise: 'top does not compare one primary with another',
    file: 'lib/cli/top/view.ts',
    find: 'id === picture.id && ',
    replace: '(id === picture.id || at < picture.at) && ',
    killedBy: [RATES],
  },
  {
    promise: 'a terminal obeys nothing of what top shows',
    file: 'lib/cli/top/frame.ts',
    find: 'line(fit(escapeControls(text), columns), tone)',
    replace: 'line(fit(text, columns), tone)',
    killedBy: ['test/cli/top/frame.test.ts'],
  },
  {
    promise: 'top restarts nothing unless one means it',
    file: 'lib/cli/top/session.ts',
    find: "(key === 'y' || key === 'Y')",
    replace: "(key !== 'n' && key !== 'N')",
    killedBy: [TOP],
  },
  {
    promise: 'top goes on after Ctrl-Z where no shell can have it go on',
    file: 'lib/cli/top/top.ts',
    find: 'const timer = setTimeout(goOn, STOPPED_MS);',
    replace: 'const timer = setTimeout(() => undefined, STOPPED_MS);',
    killedBy: ['test/cli/top/signals.deep.ts'],
  },
  {
    promise: 'a collection does not come while there is work in hand',
    file: 'lib/internals/gc.ts',
    find: 'inHand > 0 || done',
    replace: 'inHand > 1 || done',
    killedBy: ['test/core/out-of-band-collector.test.ts'],
  },
];

export default mutations;
