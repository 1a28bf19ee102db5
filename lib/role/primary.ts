import { runEntry } from '../cluster/child-process';
import { Processor } from '../cluster/processor';
import { onNpmGone, onStopSignals } from '../cluster/signals';
import { Workers } from '../cluster/workers';
import type { Config } from '../core/config';
import { environment, handOnConfig } from '../core/environment';
import { EXIT, UserError } from '../core/errors';
import type { Events } from '../core/events';
import { ensureFree } from '../core/listen';
import type { EmbeddedServers } from '../embedded/embedded-servers';
import { Deadline } from '../support/deadline';
import type { AppDefinition } from './app-definition';
import { banner } from './banner';
import { onUncaught, openEvents } from './process-log';
import type { WebSide } from './web-side';

/** The root of the tree: starts what the others need, then the others, and takes all of it down again. */
export class Primary {
  private readonly startedAt = performance.now();
  private readonly events: Events;
  private embedded: EmbeddedServers | undefined;
  private web: WebSide | undefined;
  private processor: Processor | undefined;
  private stopped: Promise<never> | undefined;

  constructor(
    private readonly app: AppDefinition,
    private readonly config: Config,
  ) {
    this.events = openEvents(config, 'primary');
  }

  /** Resolves when the tree serves. Every later end goes through `stop`. */
  async start(): Promise<void> {
    const { app, config, events } = this;
    process.title = 'catamount: primary';
    onStopSignals((reason) => void this.stop(reason));
    onNpmGone(environment().npm_lifecycle_event !== undefined, (reason) => void this.stop(reason));
    onUncaught(events, () => this.stop('an error was not caught', EXIT.failed));
    this.printBanner();
    for (const message of config.warnings) events.emit('process.warning', { message });
    try {
      if (config.web.enabled) await ensureFree(config.listen);
      const settled = await this.settleServers();
      if (this.stopped) return;
      handOnConfig(settled);
      if (config.environment !== 'production') await migrate();
      if (this.stopped) return;
      if (config.jobs.enabled) this.startProcessor();
      if (config.web.enabled) await this.startWeb(app, settled);
    } catch (error) {
      if (!this.stopped) await this.stop('it cannot start', this.reportFailure(error));
    }
  }

  /**
   * Takes the tree down: web and jobs side by side, embedded servers last, all within one deadline; then exits. Calls
   * after the first change nothing.
   */
  stop(reason: string, exitCode: number = EXIT.ok): Promise<never> {
    this.stopped ??= this.stopAll(reason, exitCode);
    return this.stopped;
  }

  private async stopAll(reason: string, exitCode: number): Promise<never> {
    const since = performance.now();
    const deadline = Deadline.after(this.config.shutdownTimeoutMs);
    this.events.emit('primary.stopping', { reason, timeoutMs: this.config.shutdownTimeoutMs });
    const killed = await Promise.all([this.web?.stop(deadline) ?? 0, this.processor?.stop(deadline) ?? 0]);
    await this.embedded?.stop(deadline);
    const count = killed.reduce((sum, part) => sum + part, 0);
    this.events.emit('primary.stopped', { durationMs: Math.round(performance.now() - since), killed: count });
    process.exit(exitCode !== EXIT.ok ? exitCode : count > 0 ? EXIT.failed : EXIT.ok);
  }

  /** Fills in the URLs of embedded servers where the environment gave none. */
  private async settleServers(): Promise<Config> {
    const { config, events } = this;
    const [needPostgres, needRedis] = [config.databaseUrl === null, config.redisUrl === null];
    if (!needPostgres && !needRedis) return config;
    // Never loaded in production, where readSettings insists on both URLs.
    const { EmbeddedServers } = await import('../embedded/embedded-servers');
    this.embedded = new EmbeddedServers({ stateDir: config.stateDir, needPostgres, needRedis, events });
    const { databaseUrl, redisUrl } = await this.embedded.start();
    return {
      ...config,
      databaseUrl: config.databaseUrl ?? databaseUrl ?? null,
      redisUrl: config.redisUrl ?? redisUrl ?? null,
    };
  }

  private startProcessor(): void {
    this.processor = new Processor(this.events);
    this.processor.start();
  }

  private async startWeb(app: AppDefinition, config: Config): Promise<void> {
    if (config.web.concurrency === 0) {
      const { SingleWeb } = await import('./single-web');
      this.web = new SingleWeb(app, config, this.events);
    } else {
      this.web = new Workers(config, this.events);
    }
    const address = await this.web.start();
    const durationMs = Math.round(performance.now() - this.startedAt);
    this.events.emit('primary.listening', { address, durationMs });
    if (config.log.format === 'pretty') process.stdout.write('Ctrl-C stops it\n');
  }

  private printBanner(): void {
    const lines = banner(this.app.name, this.config);
    if (this.config.log.format === 'pretty') process.stdout.write(`${lines.join('\n')}\n`);
    else this.events.emit('primary.starting', { banner: lines });
  }

  /** @returns the exit code that goes with the error. */
  private reportFailure(error: unknown): number {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
}

/** In a process of its own, so that the primary never loads the ORM. */
async function migrate(): Promise<void> {
  const code = await runEntry('migrate');
  if (code !== 0) throw new UserError('Catamount cannot start: the migrations failed, see above.', code);
}
