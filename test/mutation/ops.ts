import type { Mutation } from './mutation';

const ACCESS = ['test/ops/access.test.ts'];
const GUESSES = ['test/ops/access/guesses.test.ts'];
const SESSIONS = ['test/ops/access/sessions.test.ts'];
const OVERVIEW = ['test/ops/overview/overview.test.ts'];

/** Mutations of the operator's pages, and of the trees' places in Redis. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a session ends after twelve hours, whatever the browser keeps of it',
    file: 'lib/ops/access/session.ts',
    find: 'Number(expires) <= this.now() / 1000)',
    replace: 'Number(expires) <= 0)',
    killedBy: SESSIONS,
  },
  {
    promise: 'a session is believed by its signature only',
    file: 'lib/ops/access/session.ts',
    find: '!sameText(await this.sign([role, secret, expires]), signature) || ',
    replace: '',
    killedBy: ACCESS,
  },
  {
    promise: 'who has signed out is out, whatever Redis has lost since',
    file: 'lib/ops/access/sign-outs.ts',
    find: 'inPostgres.value.rows.length > 0',
    replace: 'inPostgres.value.rows.length > 1',
    killedBy: SESSIONS,
  },
  {
    promise: 'who has signed out is out, also while Postgres is away',
    file: 'lib/ops/access/sign-outs.ts',
    find: 'inRedis.value > 0',
    replace: 'inRedis.value > 1',
    killedBy: SESSIONS,
  },
  {
    promise: "a viewer's right password forgives no guesses",
    file: 'lib/ops/access/sign-in.ts',
    find: "role === 'operator' ? site.tries.forget",
    replace: 'role !== null ? site.tries.forget',
    killedBy: GUESSES,
  },
  {
    promise: 'guesses from many addresses are paced together',
    file: 'lib/ops/access/tries.ts',
    find: 'if at - now > tonumber(ARGV[5]) then',
    replace: 'if at < now then',
    killedBy: GUESSES,
  },
  {
    promise: 'tries during the pause do not make it longer',
    file: 'lib/ops/access/tries.ts',
    find: 'if count == 1 or count == tonumber(ARGV[1]) then',
    replace: 'if count >= 1 then',
    killedBy: ACCESS,
  },
  {
    promise: 'tries during the pause do not make it longer while Redis is away',
    file: 'lib/ops/access/tries.ts',
    find: 'if (entry.count === TRIES) entry.until',
    replace: 'if (entry.count >= TRIES) entry.until',
    killedBy: ACCESS,
  },
  {
    promise: 'wrong passwords are counted before they are looked at',
    file: 'lib/ops/access/sign-in.ts',
    find: 'const role = allowed ? roleOf(',
    replace: 'const role = allowed || ctx.ip !== null ? roleOf(',
    killedBy: ACCESS,
  },
  {
    promise: 'a sign-in leads to no other site',
    file: 'lib/ops/access/sign-in.ts',
    find: String.raw`/^\/ops(?:[/?][\w\-./?=&%+~:,@!*']*)?$/.test(given)`,
    replace: 'given.length > 0',
    killedBy: ACCESS,
  },
  {
    promise: 'a viewer changes nothing',
    file: 'lib/ops/access/gate.ts',
    find: "visitor.role === 'viewer' && ctx.path !== SIGN_OUT",
    replace: "visitor.role === 'guest' && ctx.path !== SIGN_OUT",
    killedBy: [...ACCESS, ...OVERVIEW],
  },
  {
    promise: 'a viewer sees no arguments',
    file: 'lib/ops/jobs/shown-job.ts',
    find: "if (!everything) return 'viewer';",
    replace: '',
    killedBy: ['test/ops/jobs/job-page.test.ts', 'test/ops/jobs/lists.test.ts'],
  },
  {
    promise: 'a form carries the token of its page',
    file: 'lib/ops/access/form-token.ts',
    find: "if (!sameText(form.get(FIELD) ?? '', formToken(ctx.state.visitor))) throw refusal(403, 'stale');",
    replace: '',
    killedBy: [...ACCESS, ...OVERVIEW],
  },
  {
    promise: 'a form comes from our own origin',
    file: 'lib/ops/access/form-token.ts',
    find: ' || new URL(origin).host !== ctx.host)',
    replace: ')',
    killedBy: [...ACCESS, ...OVERVIEW],
  },
  {
    promise: 'a page that was made to point at this machine gets nothing',
    file: 'lib/ops/access/loopback.ts',
    find: "hostname.endsWith('.localhost') || isLoopbackAddress(hostname)",
    replace: "hostname.endsWith('') || isLoopbackAddress(hostname)",
    killedBy: [...ACCESS, 'test/ops/metrics/endpoint.test.ts'],
  },
  {
    promise: 'a double click is one deed',
    file: 'lib/ops/page/deeds.ts',
    find: 'if (claimed === null) return this.twin(key);',
    replace: '',
    killedBy: OVERVIEW,
  },
  {
    promise: 'many jobs are moved only when their number was typed',
    file: 'lib/ops/jobs/act-routes.ts',
    find: "if (expected > TYPED_ABOVE && form.get('count')?.trim() !== String(expected)) return 'count';",
    replace: '',
    killedBy: ['test/ops/jobs/acts.test.ts'],
  },
  {
    promise: 'metrics are for those who have the token',
    file: 'lib/ops/metrics/endpoint.ts',
    find: 'else assertToken(ctx, metricsToken);',
    replace: '',
    killedBy: ['test/ops/metrics/endpoint.test.ts'],
  },
  {
    promise: 'the inbox reads no file but its mails',
    file: 'lib/ops/mail/inbox.ts',
    find: String.raw`/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,250}\.eml$/`,
    replace: String.raw`/^[^\0]{1,250}\.eml$/`,
    killedBy: ['test/ops/mail/inbox.test.ts'],
  },
  {
    promise: 'a tree is listed while one of its workers has told nothing of itself yet',
    file: 'lib/tree/tree-list.ts',
    find: '.filter((status) => !isEmpty(status))',
    replace: '',
    killedBy: OVERVIEW,
  },
  {
    promise: 'a tree is not taken for gone while Redis, which knows it, does not answer',
    file: 'lib/ops/overview/missing-tree.ts',
    find: "if (trees.ok) return refusal(404, 'treeGone');",
    replace: "if (trees.ok || !trees.ok) return refusal(404, 'treeGone');",
    killedBy: OVERVIEW,
  },
  {
    promise: 'an order is begun once, though two scribes find it',
    file: 'lib/tree/scribe.ts',
    find: 'if (!mine || !order) continue;',
    replace: 'if (!(mine || order) || !order) continue;',
    killedBy: ['test/tree/scribe.test.ts'],
  },
  {
    promise: 'parts of a live page that are made anew show no value older than what it was sent',
    file: 'lib/ops/assets/overview.js',
    find: 'for (const [key, value] of told) put(key, value);',
    replace: '',
    killedBy: ['test/ops/overview/live-page.deep.ts'],
  },
  {
    promise: 'a page whose stream was refused becomes live later',
    file: 'lib/ops/assets/ops.js',
    find: 'if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, REFUSED_MS);',
    replace: '',
    killedBy: ['test/ops/overview/live-page.deep.ts'],
  },
];

export default mutations;
