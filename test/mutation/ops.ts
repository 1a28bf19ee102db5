import type { Mutation } from './mutation';

const ACCESS = ['test/ops/auth/access.test.ts'];
const AUTHORIZE = ['test/ops/auth/authorize.test.ts'];
const SEARCH = ['test/ops/search/search.test.ts'];
const THROTTLE = ['test/ops/auth/sign-in-throttle.test.ts'];
const SESSIONS = ['test/ops/auth/sessions.test.ts'];
const TOKEN = ['test/ops/auth/token.test.ts'];
const OVERVIEW = ['test/ops/overview/overview.test.ts'];

/** Mutations of the operator's pages, and of the trees' places in Redis. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a session ends after twelve hours, whatever the browser does with its cookie',
    file: 'lib/ops/auth/sessions.ts',
    find: 'Number(expires) <= this.now() / 1000)',
    replace: 'Number(expires) <= 0)',
    killedBy: SESSIONS,
  },
  {
    promise: 'a session is valid only with its signature',
    file: 'lib/ops/auth/sessions.ts',
    find: '!isSameSecret(await this.sign([secret, expires]), signature) || ',
    replace: '',
    killedBy: ['test/fuzz/ops-access.test.ts'],
  },
  {
    promise: 'a sign-out is final even if Redis loses its data',
    file: 'lib/ops/auth/sign-outs.ts',
    find: 'inPostgres.value.rows.length > 0',
    replace: 'inPostgres.value.rows.length > 1',
    killedBy: SESSIONS,
  },
  {
    promise: 'guesses from many addresses are limited together',
    file: 'lib/ops/auth/sign-in-throttle.ts',
    find: "await this.unknown.take('all')",
    replace: '0',
    killedBy: THROTTLE,
  },
  {
    promise: 'lines of errors are kept however busy a process is',
    file: 'lib/ops/search/log-keeper.ts',
    find: 'const isSevere = IS_SEVERE.test(line);',
    replace: 'const isSevere = false;',
    killedBy: SEARCH,
  },
  {
    promise: 'the story of a job has the lines of its request',
    file: 'lib/ops/search/kept-lines.ts',
    find: 'where job_id = ? and request_id is not null',
    replace: 'where job_id = ? and request_id is null',
    killedBy: SEARCH,
  },
  {
    promise: 'a viewer changes nothing',
    file: 'lib/ops/auth/access.ts',
    find: "if (visitor.role === 'viewer') throw",
    replace: 'if (false) throw',
    killedBy: AUTHORIZE,
  },
  {
    promise: "the audit has an operator's name",
    file: 'lib/ops/ui/page-types.ts',
    find: 'state.visitor.name ?? ip',
    replace: 'ip',
    killedBy: AUTHORIZE,
  },
  {
    promise: 'passwords are counted before they are checked',
    file: 'lib/ops/auth/sign-in.ts',
    find: 'if (counted.waitSeconds > 0 || !checkPassword(',
    replace: 'if (!checkPassword(',
    killedBy: ACCESS,
  },
  {
    promise: 'a sign-in never redirects to another site',
    file: 'lib/ops/auth/sign-in.ts',
    find: String.raw`/^\/ops(?:[/?][\w\-./?=&%+~:,@!*']*)?$/.test(target)`,
    replace: 'target.length > 0',
    killedBy: ACCESS,
  },
  {
    promise: 'the pages without passwords require the token',
    file: 'lib/ops/auth/sessions.ts',
    find: 'return this.token !== null && isSameSecret(token, this.token);',
    replace: 'return this.token !== null;',
    killedBy: TOKEN,
  },
  {
    promise: 'a request through a proxy does not count as from this machine',
    file: 'lib/ops/ui/access-mode.ts',
    find: '!ctx.forwarded && ',
    replace: '',
    killedBy: [...ACCESS, ...TOKEN],
  },
  {
    promise: 'forwarding headers are trusted only from trusted proxies',
    file: 'lib/web/proxies.ts',
    find: 'delete headers[name];',
    replace: '',
    killedBy: ['test/web/proxies.test.ts'],
  },
  {
    promise: 'a form carries the token of its page',
    file: 'lib/ops/auth/access.ts',
    find: "if (!isSameSecret(form.get(FIELD) ?? '', formToken(ctx.state.visitor))) throw localizedProblem(403, 'stale');",
    replace: '',
    killedBy: [...ACCESS, ...OVERVIEW],
  },
  {
    promise: 'a form comes from our own origin',
    file: 'lib/ops/auth/access.ts',
    find: ' || new URL(origin).host !== ctx.host)',
    replace: ')',
    killedBy: [...ACCESS, ...OVERVIEW],
  },
  {
    promise: 'DNS rebinding to this machine gets nothing',
    file: 'lib/ops/ui/access-mode.ts',
    find: "hostname.endsWith('.localhost') || isLoopbackAddress(hostname)",
    replace: "hostname.endsWith('') || isLoopbackAddress(hostname)",
    killedBy: [...ACCESS, 'test/ops/metrics/endpoint.test.ts'],
  },
  {
    promise: 'a password that a browser sends by itself changes nothing',
    file: 'lib/ops/auth/access.ts',
    find: "mode === 'signed' && reads && ctx.state.json",
    replace: "mode === 'signed' && ctx.state.json",
    killedBy: ['test/ops/auth/access.test.ts'],
  },
  {
    promise: 'metrics require the token',
    file: 'lib/ops/mount.ts',
    find: 'assertToken(ctx, token, metricsToken === null ?',
    replace: "assertToken(ctx, ctx.get('Authorization').slice(7), metricsToken === null ?",
    killedBy: ['test/ops/metrics/endpoint.test.ts'],
  },
  {
    promise: 'an issue is told once, though several trees see it',
    file: 'lib/ops/alerts/alerter.ts',
    find: '    if (claim === false) return;\n',
    replace: '',
    killedBy: ['test/ops/alerts/alerter.test.ts'],
  },
  {
    promise: 'nobody is told of what lasts for one look',
    file: 'lib/ops/alerts/alerter.ts',
    find: 'known.seen >= SEEN[known.level]',
    replace: 'known.seen >= 1',
    killedBy: ['test/ops/alerts/alerter.test.ts'],
  },
];

export default mutations;
