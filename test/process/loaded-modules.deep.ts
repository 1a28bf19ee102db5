import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { assertOneMailEach, signUpMany } from './sign-ups';

const ROOT = path.resolve(__dirname, '../..');
const NOT_IN_PRIMARY = ['objection', 'knex', 'pg', 'koa', 'email-templates', 'nodemailer', 'bee-queue'];
const NOT_IN_WEB = ['email-templates', 'nodemailer', 'bee-queue', 'prom-client', 'ejs', 'throng'];
const NOT_IN_JOBS = ['koa', '@koa/router', 'koa-helmet', 'zod'];
/**
 * Embedded servers, the packages that the package redis would load, the many files of its client, which the build has put into
 * one, and what cheerio loads in vain, and what only a tree with OTEL_EXPORTER_OTLP_ENDPOINT needs.
 */
const NOWHERE = [
  'lib/embedded',
  'catamount-local-servers',
  'undici',
  '@redis/client',
  '@redis/bloom',
  '@redis/json',
  '@redis/search',
  '@redis/time-series',
  '@opentelemetry/api',
  '@opentelemetry/sdk-trace-node',
  '@opentelemetry/sdk-trace-base',
  '@opentelemetry/exporter-trace-otlp-proto',
];

interface CoverageReport {
  readonly result: readonly { readonly url: string }[];
}

/**
 * The modules that each process of a tree has loaded, according to Node itself: with NODE_V8_COVERAGE every process writes
 * a list of its scripts, CommonJS and ES modules alike, when it ends.
 */
class LoadedModules {
  private readonly byPid = new Map<number, Set<string>>();

  /** @param folder NODE_V8_COVERAGE of a tree that has ended. */
  constructor(folder: string) {
    for (const name of fs.readdirSync(folder)) {
      const pid = Number(/^coverage-(\d+)-/.exec(name)?.[1]);
      const { result } = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8')) as CoverageReport;
      const known = this.byPid.get(pid) ?? new Set();
      for (const { url } of result) known.add(nameOf(url));
      this.byPid.set(pid, known);
    }
  }

  /** Names of packages, and our own folders such as `lib/embedded`. Empty if the process has written nothing. */
  of(pid: number | undefined): ReadonlySet<string> {
    return this.byPid.get(pid ?? 0) ?? new Set();
  }

  get pids(): number[] {
    return [...this.byPid.keys()];
  }
}

/** Pids of a running tree, by role. */
function rolesOf(tree: Tree): Readonly<Record<'primary' | 'web' | 'jobs', number | undefined>> {
  const { primary, web, jobs } = tree.processes();
  return { primary, web: web.get(0), jobs };
}

function nameOf(url: string): string {
  const inPackage = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
  if (inPackage !== undefined) return inPackage;
  const ours = url.startsWith('file:') ? path.relative(path.join(ROOT, 'dist'), new URL(url).pathname) : url;
  return path.dirname(ours);
}

describe('the processes of a tree in production load', () => {
  const deployment = useDeployment();
  let loaded: LoadedModules;
  let roles: ReturnType<typeof rolesOf>;
  before(async () => {
    const coverage = path.join(deployment.folder, 'coverage');
    const tree = await deployment.start({ env: { NODE_V8_COVERAGE: coverage } });
    roles = await until('all have their titles', () => {
      const found = rolesOf(tree);
      return found.web && found.jobs ? found : undefined;
    });
    await signUpMany(tree, 10);
    await assertOneMailEach(deployment);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
    assert.deepEqual(
      tree.linesMatching(({ json }) => ['warn', 'error', 'fatal'].includes(String(json.level))),
      [],
    );
    loaded = new LoadedModules(coverage);
  });

  const assertNone = (pid: number | undefined, unwanted: readonly string[]) => {
    assert.deepEqual(
      unwanted.filter((name) => loaded.of(pid).has(name)),
      [],
    );
  };

  it('what each needs', () => {
    const needed = {
      primary: ['throng'],
      web: ['koa', 'knex', 'objection', 'pg', 'lib/internals'],
      jobs: ['bee-queue', 'email-templates', 'nodemailer', 'objection', 'lib/internals'],
    };
    for (const role of ['primary', 'web', 'jobs'] as const) {
      for (const name of needed[role]) assert.ok(loaded.of(roles[role]).has(name), `${name} in ${role}`);
    }
  });

  it('no ORM, web framework, mail or queue code in the primary', () => assertNone(roles.primary, NOT_IN_PRIMARY));

  it('no mail or queue code and nothing that forks in a web worker', () => assertNone(roles.web, NOT_IN_WEB));

  it('no web framework and no validator of settings in the job processor', () => assertNone(roles.jobs, NOT_IN_JOBS));

  it('no embedded servers and nothing that is never used in any process', () => {
    for (const pid of loaded.pids) assertNone(pid, NOWHERE);
  });
});
