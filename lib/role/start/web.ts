import fs from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import type Koa from 'koa';
import { Model } from 'objection';
import { type Carrier, subscribed } from '../../broadcast/broadcast';
import type { RequestJournal } from '../../cluster/request-journal';
import type { JobsHealth, Tree, WorkerStatus, WorkInFlight } from '../../cluster/status';
import type { DrainableServer, HandOff } from '../../cluster/worker';
import { type Config, inlineParts, serverUrls } from '../../core/config';
import type { Events } from '../../core/events';
import { asSentence } from '../../core/finding';
import { ProcessMetricsSampler } from '../../core/process-metrics';
import { Redis } from '../../core/redis';
import type { Credentials } from '../../core/tls';
import type { Connection, RawConnection } from '../../internals/socket-handoff';
import type { Database } from '../../model/database';
import { loadModels } from '../../model/model-lookup';
import { connectTransactions } from '../../model/transaction';
import { opsPages } from '../../ops/mount';
import { checkAdditions } from '../../ops/ui/additions';
import { CachedProbe } from '../../support/cached-probe';
import { Deadline } from '../../support/deadline';
import { type Service, ServiceGroup } from '../../support/service';
import { snakeCase } from '../../support/snake-case';
import { toError } from '../../support/to-error';
import { createApplication } from '../../web/application';
import { ConcurrencyLimiter } from '../../web/concurrency-limiter';
import type { Degradation } from '../../web/options';
import { asIPv4, trustedPeers } from '../../web/proxies';
import { RateLimits } from '../../web/rate-limit';
import { RequestMetrics } from '../../web/request-metrics';
import { WebServer } from '../../web/server';
import { type AppDefinition, findMigrations, type RouteEnvironment } from '../app/app-definition';
import { appService } from '../app/app-service';
import { loadJobSetup, loadOwnWeb, loadRoutes } from '../app/load-parts';
import { openDatabase } from '../app/open-database';
import { findings, type PostgresContext } from '../checks/all-checks';
import { connectJobs, connectToSubscribers } from '../connect/connect-app';
import { FirstReadiness } from './first-readiness';
import { keepLog } from './keep-log';
import { AppointedReporter } from './reporter';
import { traceSpans } from './trace-spans';

/** Statement timeout of the checks of /ready beyond its pings, ms: none of them may hold a connection for long. */
const PROBE_STATEMENT_TIMEOUT_MS = 1000;
/** Statement timeout of the operator's pages, which then report that Postgres does not answer. */
const PAGE_STATEMENT_TIMEOUT_MS = 5000;

/**
 * A new process serves only after its first attempt to reach Redis, at most this much later, ms. Until then it would count
 * sign-in attempts and sign-ups in its own memory, as in an outage. So each restart would allow more of them.
 */
const FIRST_CONTACT_MS = 2000;

/** A worker tells of refused connections at most this often, ms: anybody can cause them. */
const REFUSALS_EVERY_MS = 60_000;

/** Maximum age of what the checks of a web that serves have found, and time limit of them together, ms. */
const DEGRADED = { freshMs: 2000, limitMs: 3000 };

/** Connections that web and jobs share in one process, since an app's models have one pool. */
export interface Shared {
  readonly database: Database;
  readonly redis: Redis;
}

/** Everything that serves HTTP in a worker. */
export class WebRole implements DrainableServer {
  private readonly database: Database;
  private readonly redis: Redis;
  private readonly reporter: AppointedReporter;
  private readonly services: ServiceGroup;
  private readonly limit: ConcurrencyLimiter;
  private readonly requestMetrics = new RequestMetrics();
  private readonly processMetrics = new ProcessMetricsSampler();
  onSlots: () => void = () => undefined;
  onServed: () => void = () => undefined;
  private server: WebServer | undefined;
  private readonly own: Service | undefined;
  private jobsHealth: JobsHealth = { running: true, stalled: null, dueSinceS: null };
  /** For the checks of /ready: a pool with a timeout. */
  private readonly postgres: PostgresContext;
  private readonly degraded: CachedProbe<Degradation[]>;
  /** undefined outside production. */
  private readonly first: FirstReadiness | undefined;
  private jobsBooted: boolean;
  private untrustedProxy: string | null = null;
  /** Connections that were refused since that was told last, ms on the monotonic clock. */
  private refusals = 0;
  private refusalsToldAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly app: AppDefinition,
    private readonly config: Config,
    private readonly events: Events,
    /** The whole tree, for the operator's pages. */
    private readonly tree: Tree,
    /** The way of broadcasts to the tree's other processes. */
    private readonly siblings?: Carrier,
    requestJournal?: RequestJournal,
    /** The worker's slot, for the app's `workerBoot`. */
    slot = 0,
  ) {
    const urls = serverUrls(config);
    const { web, jobs } = config.databasePool;
    this.database = openDatabase(config, urls.database, events, inlineParts(config).all ? web + jobs : web);
    this.postgres = {
      config,
      migrations: findMigrations(app),
      database: { knex: this.database.withTimeout(PROBE_STATEMENT_TIMEOUT_MS), url: urls.database },
    };
    this.redis = new Redis(urls.redis, events);
    this.own = appService(app, { role: 'web', slot, config });
    this.database.tallyStatements();
    this.services = new ServiceGroup('the web', [
      ...traceSpans(app, config, events),
      this.database,
      this.redis,
      ...keepLog(app, config, events, this.database),
    ]);
    const { database, redis, services } = this;
    this.reporter = new AppointedReporter({ app, config, redis, database, tree: async () => tree, events, services });
    this.degraded = new CachedProbe(() => this.degradations(), DEGRADED);
    this.jobsBooted = config.jobsBooted === true || !config.jobs.enabled;
    if (config.environment === 'production') {
      this.first = new FirstReadiness({
        postgres: this.postgres,
        jobsBooted: () => this.jobsBooted,
        onServed: () => this.onServed(),
      });
    }
    this.limit = new ConcurrencyLimiter(
      { onSlots: () => this.onSlots(), ...config.web },
      ({ method, path, requestId }) => requestJournal?.write(`${method} ${path}`, requestId),
    );
    events.on('request.finished', (finished) => {
      if (!finished.internal) this.requestMetrics.add(finished);
    });
    events.on('request.error', (failed) => this.requestMetrics.addError(failed));
  }

  /** Connects and builds the app, which then serves the connections that `serveConnection` gets. */
  async expectConnections(): Promise<void> {
    const { app, config, events, database, redis } = this;
    await this.services.start();
    Model.knex(database.knex);
    connectTransactions(database.knex, (model) => events.emit('query.left-transaction', { model }));
    const models = await loadModels(app.modelsDir, app);
    const setup = await loadJobSetup(app);
    events.emit('setup.loaded', { filterArguments: setup.filterArguments ?? [] });
    connectJobs({ database, redis, events, setup, models, jobs: config.jobs });
    connectToSubscribers({ app: app.name, redis, events, tree: config.treeId, siblings: this.siblings });
    const routes = await loadRoutes(app);
    const limits = new RateLimits(app.name, redis.isOff ? undefined : redis.client);
    await this.own?.start();
    const environment: RouteEnvironment = {
      config,
      limit: (name, rate) => limits.limit(name, rate),
      stats: async () => JSON.parse(JSON.stringify(snakeCase((await this.tree.status()).stats))),
    };
    const application = createApplication({
      ...(await loadOwnWeb(app, environment)),
      goodbye: (response) => this.server?.goodbyeOf(response) ?? AbortSignal.abort(),
      config,
      events,
      appName: app.name,
      localesDir: app.localesDir,
      routes: (router) => routes(router, environment),
      readiness: [
        { name: 'postgres', check: () => database.ping() },
        ...(redis.isOff ? [] : [{ name: 'redis', isOptional: true, check: () => redis.ping() }]),
      ],
      isLeaving: () => this.server?.leaving ?? false,
      degraded: async () => {
        const found = await this.degraded.get();
        return found.ok ? found.value : [];
      },
      jobs: () => {
        const { dueSinceS } = this.jobsHealth;
        return { ...this.jobsHealth, oldestDueS: dueSinceS === null ? null : process.hrtime()[0] - dueSinceS };
      },
      unready: this.first && (() => this.first?.reason() ?? Promise.resolve(undefined)),
      limiter: this.limit,
      onUntrustedProxy: (peer) => {
        this.untrustedProxy = peer;
      },
      mounts: this.showing(
        opsPages({
          config,
          appName: app.name,
          events,
          redis,
          knex: database.withTimeout(PAGE_STATEMENT_TIMEOUT_MS),
          tree: this.tree,
          jobs: {
            classes: async () => (await import('../../job/job-registry')).loadJobs(app.jobsDir, app),
            filterArguments: setup.filterArguments ?? [],
          },
          models,
          isLeaving: () => this.server?.leaving ?? false,
          additions: app.ops && checkAdditions(app.ops),
          previews: {
            folder: app.previewsDir,
            madeOf: [app.mailersDir, app.previewsDir, ...app.templatesDirs, app.localesDir, app.modelsDir],
            locales: app.localesDir,
          },
        }),
      ),
    });
    const { trustProxy } = config;
    const isTrusted = 'addresses' in trustProxy ? trustedPeers(trustProxy.addresses) : undefined;
    const server = new WebServer(application.callback(), {
      ...config.web,
      trusts: (peer) => !isTrusted || peer === '' || isTrusted(asIPv4(peer)),
      onRefused: (reason, peer) => this.refused(reason, peer),
    });
    this.server = server;
    if (app.server) await server.extend((http, goodbye) => app.server?.(http, { config, goodbye }));
    await redis.firstAttempt(FIRST_CONTACT_MS);
    if (redis.client.isReady) await Deadline.after(FIRST_CONTACT_MS).wait(subscribed());
    server.expectConnections();
  }

  /** Lends its connections to the job processor in the same process. @param until resolves when that has stopped. */
  async lend(until: Promise<unknown>): Promise<Shared> {
    const stop = async (deadline: Deadline) => void (await deadline.wait(until));
    await this.services.add({ name: 'jobs', start: async () => undefined, stop });
    return { database: this.database, redis: this.redis };
  }

  /** In development a browser is shown the error of `catamount dev`, if there is one. */
  private showing(pages: Koa.Middleware): Koa.Middleware {
    if (this.config.environment !== 'development') return pages;
    const note = path.join(this.config.stateDir, 'dev-error.json');
    return async (ctx, next) => {
      const isPage = fs.existsSync(note) && !/^\/ops(\/|$)/.test(ctx.path);
      if (isPage) (await import('../../web/dev-error')).answerWithError(ctx, note);
      await pages(ctx, next);
    };
  }

  async enterLameDuck(atMostMs: number): Promise<void> {
    await this.server?.enterLameDuck(atMostMs);
  }

  serveConnection(connection: Connection): void {
    this.server?.serveConnection(connection as Socket | RawConnection);
  }

  async secure(credentials: Credentials): Promise<void> {
    await this.server?.secure(credentials);
  }

  /** Tells of the first refused connection, and then once in a while how many there were. */
  private refused(reason: string, peer: string): void {
    this.refusals++;
    if (performance.now() - this.refusalsToldAt < REFUSALS_EVERY_MS) return;
    this.events.emit('connection.refused', { reason, peer, count: this.refusals });
    this.refusalsToldAt = performance.now();
    this.refusals = 0;
  }

  get full(): boolean {
    return this.limit.saturated;
  }

  setMaxThreads(count: number): void {
    this.limit.setMaxThreads(count);
  }

  status(): WorkerStatus {
    // Nobody may ask /ready, and the pages tell why the tree is not ready, too.
    void this.first?.look();
    const { inFlight, waiting, ...limits } = this.limit.snapshot();
    return {
      ...limits,
      backlog: waiting,
      running: limits.maxThreads,
      busyThreads: inFlight,
      queueTimeP99Ms: this.requestMetrics.takeQueueTimeP99(),
      inFlight: this.inFlight(),
      requests: this.requestMetrics.read(),
      slowest: this.requestMetrics.takeSlowest(),
      pool: this.database.poolUse(),
      untrustedProxy: this.untrustedProxy,
      unready: this.first?.latest ?? null,
      lastError: this.requestMetrics.lastError(),
      rejected: this.requestMetrics.mostRejected(),
      ...this.processMetrics.read(),
    };
  }

  setReporter(on: boolean): void {
    void this.reporter.appoint(on);
  }

  setJobsHealth(change: Partial<JobsHealth>): void {
    this.jobsHealth = { ...this.jobsHealth, ...change };
    if (this.jobsHealth.running) this.jobsBooted = true;
  }

  treeServed(): void {
    this.first?.treeServed();
  }

  /** Finishes requests in flight, then closes the connections to Postgres and Redis. @returns the number of aborted ones. */
  async drain(deadline: Deadline, handOff?: HandOff): Promise<number> {
    const aborted = (await this.server?.drain(deadline, handOff)) ?? 0;
    if (aborted > 0) {
      for (const { what, id, ageMs } of this.server?.aborted ?? [])
        this.events.emit('request.aborted', { request: what, requestId: id, ageMs });
    }
    await this.own?.stop(deadline).catch((thrown: unknown) => {
      this.events.emit('process.error', { error: toError(thrown), during: "the app's workerStop" });
    });
    await this.services.stop(deadline).catch((thrown: unknown) => {
      this.events.emit('process.error', { error: toError(thrown), during: 'closing connections in a stop' });
    });
    return aborted;
  }

  /** Only /ready asks, which loads its modules. Jobs that are overdue are looked for beside it. */
  private async degradations(): Promise<Degradation[]> {
    const { knex } = this.postgres.database;
    (await import('../../job/dispatch/overdue')).lookForOverdue(knex).catch(() => undefined);
    const found = await findings('postgres', 'serving', this.postgres, () => []);
    return found.map((each) => ({ name: each.id, advice: asSentence(each) }));
  }

  private inFlight(): WorkInFlight[] {
    return this.limit.inFlight().map(({ method, path, requestId, startedAt }) => ({
      what: `${method} ${path}`,
      id: requestId,
      ageMs: Date.now() - startedAt,
    }));
  }
}
